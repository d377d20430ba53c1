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

/// A delivery by group and position.
type Read = (GroupId, Position, DeliveryId);

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
            let Some(later) = past(&reads, *group, position) else { continue };
            evidence.opportunity();
            if history.deliveries_to(id, *group).is_empty() && !fate.twin_delivered(id, *group) {
                skipped(history, &mut evidence, (id, message), *group, later);
            }
        }
    }
    evidence
}

fn reads(history: &History) -> Vec<Read> {
    let reads = history.all_deliveries().filter(|(_, delivery)| !delivery.dead_letter);
    let reads =
        reads.filter_map(|(id, delivery)| Some((history.group_of(delivery), delivery.position()?, id)));
    let mut reads: Vec<_> = reads.collect();
    reads.sort_unstable();
    reads
}

/// The next delivery in a group and partition past a position.
fn past(reads: &[Read], group: GroupId, position: Position) -> Option<DeliveryId> {
    let next = reads.partition_point(|read| (read.0, read.1) <= (group, position));
    let read = reads.get(next).filter(|read| (read.0, read.1.partition) == (group, position.partition));
    read.map(|read| read.2)
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
