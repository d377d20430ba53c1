//! P3p, prefix loss: a log delivers nothing past a message that it skipped.
//!
//! Let m be a confirmed message at a known position, g a group that reads from the earliest or existed before m was
//! published, and m2 a message with a higher offset in m's partition that was delivered to g: then m was delivered to
//! g, too. Evicted, dead-lettered and suppressed messages, those of uncommitted transactions and those lost to a fault
//! that they need not survive are exempt, as in P3. An opportunity is such a pair (m, g). Applies to logs; needs no
//! drain, never inconclusive. Source: guarantees §9, P3p.

use super::evidence::{Evidence, in_group, violation};
use super::fate::Fate;
use crate::history::{DeliveryId, GroupId, History, Message, MessageId, Position};

pub(crate) fn check(history: &History) -> Evidence {
    let fate = Fate::new(history);
    let reads = reads(history);
    let mut evidence = Evidence::default();
    for (id, message, _) in history.published() {
        let Some(position) = position(history, id, message) else { continue };
        let Some(confirmed) = fate.confirmed(message) else { continue };
        if message.duplicate || fate.died(id, confirmed) || fate.removed(id) {
            continue;
        }
        for group in fate.groups(message.topic).iter().filter(|group| fate.owed(message, **group)) {
            let Some(later) = past(history, &reads, *group, position) else { continue };
            evidence.opportunity();
            if history.deliveries_to(id, *group).is_empty() && !fate.twin_delivered(id, *group) {
                skipped(history, &mut evidence, (id, message), *group, later);
            }
        }
    }
    evidence
}

/// The deliveries with a position, by group and position.
fn reads(history: &History) -> Vec<DeliveryId> {
    let reads = history.all_deliveries().filter(|(_, it)| !it.dead_letter && it.position().is_some());
    let mut reads: Vec<_> = reads.map(|(id, _)| id).collect();
    reads.sort_unstable_by_key(|id| (place(history, *id), *id));
    reads
}

fn place(history: &History, id: DeliveryId) -> (GroupId, Option<Position>) {
    let delivery = history.delivery(id);
    (history.group_of(delivery), delivery.position())
}

/// The next delivery in a group and partition past a position.
fn past(history: &History, reads: &[DeliveryId], group: GroupId, position: Position) -> Option<DeliveryId> {
    let next = reads.partition_point(|read| place(history, *read) <= (group, Some(position)));
    let next = reads.get(next).copied()?;
    let (other, place) = place(history, next);
    (other == group && place.is_some_and(|it| it.partition == position.partition)).then_some(next)
}

/// Where a message is by its receipt, or else by its delivery to another group.
fn position(history: &History, id: MessageId, message: &Message) -> Option<Position> {
    let delivered = || {
        let deliveries = history.deliveries_of(id).iter().map(|id| history.delivery(*id));
        deliveries.filter(|delivery| !delivery.dead_letter).find_map(|delivery| delivery.position())
    };
    message.position().or_else(delivered)
}

fn skipped(
    history: &History,
    evidence: &mut Evidence,
    (id, message): (MessageId, &Message),
    group: GroupId,
    later: DeliveryId,
) {
    evidence.violation(|| {
        let later = history.delivery(later);
        let (name, later_name) = (history.message_id(id), history.message_id(later.message));
        let place = in_group(history, group);
        let explanation = format!("{later_name} was delivered{place} although {name} before it was skipped");
        let events = [message.publish, message.published, Some(later.at)];
        violation(history, &[id, later.message], &events, explanation)
    });
}
