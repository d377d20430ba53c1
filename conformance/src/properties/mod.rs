//! The properties P1 to P17, each a pure function over a [`History`].
//!
//! [`check`] holds a history to what its header promises. A violation comes with the few messages and lines that show
//! it and a sentence; the definitions are at the head of each property's file.

mod causes;
mod evidence;
mod fate;
mod holds;
mod p1_no_phantom;
mod p3_no_loss;
mod p6_caused_redelivery;
mod p7_order;
mod p9_redelivery_mark;
mod peaks;
mod property;
mod render;
mod report;
mod scope;
mod timeline;

pub use property::Property;
pub use report::{Finding, Report, Step, Verdict, Violation};

use evidence::Evidence;

use crate::history::History;

/// Holds a history to every property that its header promises.
pub fn check(history: &History) -> Report {
    let findings = Property::ALL.iter().map(|property| (*property, finding(history, *property)));
    let mut report = Report::new(findings.collect());
    timeline::draw(history, &mut report);
    report
}

fn finding(history: &History, property: Property) -> Finding {
    let promises = &history.header().promises;
    let evidence = match property {
        Property::P1 => promises.p1.map(|_| p1_no_phantom::check(history)),
        Property::P3 => promises.p3.as_ref().map(|_| p3_no_loss::check(history)),
        Property::P6 => promises.p6.map(|_| p6_caused_redelivery::check(history)),
        Property::P7 => promises.p7.map(|order| p7_order::check(history, order.scope)),
        Property::P9 => promises.p9.map(|mark| p9_redelivery_mark::check(history, mark.mark)),
        other if promises.names(other.name()) => return Finding::of(Verdict::NotImplemented),
        _ => None,
    };
    evidence.map_or(Finding::of(Verdict::NotPromised), Evidence::finding)
}
