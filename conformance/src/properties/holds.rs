//! How long a delivery stays with its consumer.

use crate::history::{At, Delivery, History};

/// The first event at which a delivery is no longer held: it was settled, its session ended, its partition was revoked
/// or its lease, in nanoseconds, ran out, clocks being as far apart as they may. Past the last event if it is held to
/// the end.
pub(crate) fn end(history: &History, delivery: &Delivery, lease: Option<u64>) -> At {
    let session = history.session(delivery.session);
    let closed = session.closed.map(|(at, _)| at);
    let partition = delivery.position().map(|position| position.partition);
    let revoked =
        partition.and_then(|partition| history.revoked_after(delivery.session, partition, delivery.at));
    let lapsed = lease.map(|lease| lapse(history, delivery, lease));
    let ends = [delivery.settle, closed, revoked, lapsed];
    ends.into_iter().flatten().min().unwrap_or(At::new(history.events()))
}

/// The first event after a delivery's lease has run out, clocks being as far apart as they may.
pub(crate) fn lapse(history: &History, delivery: &Delivery, lease: u64) -> At {
    let lease = lease.saturating_sub(history.epsilon());
    history.first_from(history.time(delivery.at).saturating_add(lease))
}
