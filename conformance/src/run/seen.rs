//! What a history shows beside its properties: faults and what they found in flight, redeliveries, unknown outcomes.

use super::FaultReport;
use crate::history::{At, History, Outcome};

/// What one history shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) faults: Vec<FaultReport>,
    pub(super) redeliveries: u64,
    pub(super) unknown: u64,
    pub(super) published: u64,
    pub(super) delivered: u64,
}

pub(super) fn seen(case: &str, history: &History) -> Seen {
    let faults = history.faults().iter().map(|fault| FaultReport {
        case: case.to_owned(),
        kind: history.name(fault.kind).to_owned(),
        in_flight: in_flight(history, fault.at),
    });
    let unknown = |outcome: Option<Outcome>| !matches!(outcome, Some(Outcome::Ok | Outcome::Failed));
    Seen {
        faults: faults.collect(),
        redeliveries: history.all_deliveries().filter(|(_, delivery)| delivery.marked()).count() as u64,
        unknown: history.published().filter(|(_, message, _)| unknown(message.outcome)).count() as u64,
        published: history.published().count() as u64,
        delivered: history.delivery_count() as u64,
    }
}

/// Publishes without an outcome yet, and deliveries that are held unsettled.
fn in_flight(history: &History, at: At) -> u64 {
    let publishing = history.published().filter(|(_, message, publish)| {
        *publish < at && message.published.is_none_or(|published| published > at)
    });
    let ended = |session| history.session(session).closed.is_some_and(|(closed, _)| closed < at);
    let held = history.all_deliveries().filter(|(_, delivery)| {
        delivery.at < at && delivery.settle.is_none_or(|settle| settle > at) && !ended(delivery.session)
    });
    (publishing.count() + held.count()) as u64
}
