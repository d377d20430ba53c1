//! The properties P1 to P17, each a pure function over a [`History`].
//!
//! [`check`] holds a history to what its header promises. A violation comes with the few messages and lines that show
//! it and a sentence; the definitions are at the head of each property's file.

mod causes;
mod evidence;
mod fate;
mod holds;
mod p10_delivery_limit;
mod p11_deduplication;
mod p11b_no_false_deduplication;
mod p12_delay_floor;
mod p13_window;
mod p14_fan_out;
mod p15_transactions;
mod p16_consistent_positions;
mod p17_progress;
mod p1_no_phantom;
mod p2_no_failed_visible;
mod p3_no_loss;
mod p3p_prefix_loss;
mod p4_at_most_once;
mod p5_no_duplicate_write;
mod p6_caused_redelivery;
mod p6b_ack_final;
mod p7_order;
mod p7r_redelivery_order;
mod p8_exclusive;
mod p9_redelivery_mark;
mod peaks;
mod property;
mod render;
mod report;
mod scope;
mod sources;
mod timeline;
mod twins;

pub use property::Property;
pub use report::{Actor, Finding, Report, Step, Verdict, Violation, Way};

use evidence::Evidence;

use crate::history::{History, nanos};

/// Holds a history to every property that its header promises.
pub fn check(history: &History) -> Report {
    let findings = Property::ALL.iter().map(|property| (*property, finding(history, *property)));
    let mut report = Report::new(findings.collect());
    timeline::draw(history, &mut report);
    report
}

fn finding(history: &History, property: Property) -> Finding {
    match (evidence(history, property), property) {
        (None, _) => Finding::of(Verdict::NotPromised),
        (Some(evidence), Property::P17) => evidence.progress_finding(),
        (Some(evidence), _) => evidence.finding(),
    }
}

/// What the history shows of a property, or `None` if it is not promised.
fn evidence(history: &History, property: Property) -> Option<Evidence> {
    let promises = &history.header().promises;
    match property {
        Property::P1 => promises.p1.map(|_| p1_no_phantom::check(history)),
        Property::P2 => promises.p2.map(|_| p2_no_failed_visible::check(history)),
        Property::P3 => promises.p3.as_ref().map(|_| p3_no_loss::check(history)),
        Property::P3p => promises.p3p.map(|_| p3p_prefix_loss::check(history)),
        Property::P4 => promises.p4.map(|_| p4_at_most_once::check(history)),
        Property::P5 => promises.p5.map(|_| p5_no_duplicate_write::check(history)),
        Property::P6 => promises.p6.map(|_| p6_caused_redelivery::check(history)),
        Property::P6b => promises.p6b.map(|_| p6b_ack_final::check(history)),
        Property::P7 => promises.p7.map(|it| p7_order::check(history, it.scope)),
        Property::P7r => promises.p7r.map(|it| p7r_redelivery_order::check(history, it.scope)),
        Property::P8 => promises.p8.map(|it| p8_exclusive::check(history, it.scope, it.lease_ms.map(nanos))),
        Property::P9 => promises.p9.map(|it| p9_redelivery_mark::check(history, it.mark)),
        Property::P10 => promises.p10.map(|it| p10_delivery_limit::check(history, it)),
        Property::P11 => promises.p11.map(|it| p11_deduplication::check(history, nanos(it.window_ms))),
        Property::P11b => promises.p11b.map(|_| p11b_no_false_deduplication::check(history)),
        Property::P12 => promises.p12.map(|_| p12_delay_floor::check(history)),
        Property::P13 => promises.p13.map(|it| p13_window::check(history, it.bound)),
        Property::P14 => promises.p14.map(|_| p14_fan_out::check(history)),
        Property::P15 => promises.p15.map(|_| p15_transactions::check(history)),
        Property::P16 => promises.p16.map(|given| p16_consistent_positions::check(history, given)),
        Property::P17 => promises.p17.map(|it| p17_progress::check(history, nanos(it.within_ms))),
    }
}
