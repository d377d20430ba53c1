//! P5, no duplicate write: one publish is one record.
//!
//! The positions at which m is known to be stored, by its receipt (unless that says `duplicate`) and by its deliveries
//! (but for dead letters), are one. An opportunity is a message with a known position. Applies to idempotent or
//! deduplicating publishers; never inconclusive. Source: guarantees §9, P5.

use super::evidence::{Evidence, violation};
use crate::history::{At, History, Message, MessageId, Position};

pub(crate) fn check(history: &History) -> Evidence {
    let mut evidence = Evidence::default();
    for (id, message, publish) in history.published() {
        let mut positions = positions(history, id, message);
        let Some((first, seen_first)) = positions.next() else { continue };
        evidence.opportunity();
        if let Some((second, seen_second)) = positions.find(|(position, _)| *position != first) {
            evidence.violation(|| {
                let name = history.message_id(id);
                let place = |it: Position| format!("{}:{}", it.partition, it.offset);
                let explanation =
                    format!("{name} is stored twice, at {} and at {}", place(first), place(second));
                let events = [Some(publish), Some(seen_first), Some(seen_second)];
                violation(history, &[id], &events, explanation)
            });
        }
    }
    evidence
}

/// Where a message is stored, and which event says so.
fn positions<'a>(
    history: &'a History,
    id: MessageId,
    message: &Message,
) -> impl Iterator<Item = (Position, At)> + 'a {
    let receipt = message.position().zip(message.published).filter(|_| !message.duplicate);
    let deliveries = history.deliveries_of(id).iter().map(|id| history.delivery(*id));
    let deliveries = deliveries.filter(|delivery| !delivery.dead_letter);
    receipt.into_iter().chain(deliveries.filter_map(|it| Some((it.position()?, it.at))))
}
