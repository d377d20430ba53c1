//! P3, no loss: a confirmed message is processed by every group that it is owed to.
//!
//! For every message m with outcome ok (or committed in a transaction) and every group g of its topic that reads from
//! the earliest or existed before m was published: once g is drained, some delivery of m to g was acknowledged, or m
//! was evicted, dead-lettered, given up at a limit that drops, or suppressed as a duplicate of a message for which this
//! holds. A nack, the end of a session or of a lease as the last word is a loss. A message confirmed before a fault
//! that it need not survive, and not seen since, is none. An opportunity is such a pair (m, g).
//!
//! Inconclusive if a message is missing from a group that was not drained after the message was confirmed, or that
//! still held it unsettled when it was drained. Source: guarantees §9, P3.

use super::evidence::{Evidence, violation};
use super::fate::Fate;
use super::{holds, report::Violation};
use crate::history::{At, Delivery, GroupId, History, MessageId, SettleVerdict};

pub(crate) fn check(history: &History) -> Evidence {
    let fate = Fate::new(history);
    let mut evidence = Evidence::default();
    for (id, message, _) in history.published() {
        let Some(confirmed) = fate.confirmed(message).filter(|at| !fate.died(id, *at)) else { continue };
        for group in fate.groups(message.topic).iter().filter(|group| fate.owed(message, **group)) {
            evidence.opportunity();
            if !fate.done(id, *group) && !fate.done_with_twin(id, *group) {
                missing(history, &mut evidence, id, *group, confirmed);
            }
        }
    }
    evidence
}

/// A message was not processed: is it lost, or may it still come?
fn missing(history: &History, evidence: &mut Evidence, id: MessageId, group: GroupId, confirmed: At) {
    let last = history.deliveries_to(id, group).last().map(|last| history.delivery(*last));
    match history.group(group).drained.filter(|drained| *drained > confirmed) {
        None => evidence.inconclusive(|| {
            let (message, group) = (history.message_id(id), history.name(history.group(group).name));
            format!("{message} is missing from group {group}, which was not drained after its publish")
        }),
        Some(drained) if last.is_some_and(|last| holds_at(history, last, drained)) => {
            evidence.inconclusive(|| format!("{} was still held at the drain", history.message_id(id)));
        }
        Some(drained) => evidence.violation(|| lost(history, id, group, last, drained)),
    }
}

fn holds_at(history: &History, delivery: &Delivery, at: At) -> bool {
    delivery.at < at && holds::end(history, delivery, history.lease()) > at
}

fn lost(history: &History, id: MessageId, group: GroupId, last: Option<&Delivery>, drained: At) -> Violation {
    let message = history.message(id);
    let mut events = vec![message.publish, message.published, Some(drained)];
    if let Some(transaction) = message.transaction {
        events.push(history.transaction(transaction).end);
    }
    if let Some(last) = last {
        events.extend([Some(last.at), last.settle, last.settled]);
    }
    let (name, group) = (history.message_id(id), history.name(history.group(group).name));
    let fate = match last {
        None => format!("{name} was confirmed but never delivered to group {group}"),
        Some(last) => format!("{name} was confirmed, {} by group {group}, and never came again", word(last)),
    };
    violation(history, &[id], &events, format!("{fate}{}", in_the_middle(history, id)))
}

/// What the last delivery ended in.
fn word(last: &Delivery) -> &'static str {
    match last.verdict {
        None => "delivered but not settled",
        Some(SettleVerdict::Ack) => "acknowledged in vain",
        Some(SettleVerdict::Nack) => "negatively acknowledged",
        Some(SettleVerdict::DeadLetter) => "dead-lettered in vain",
        Some(SettleVerdict::Release) => "released",
    }
}

/// Says so if a later message of the same publisher, topic and key was delivered.
fn in_the_middle(history: &History, id: MessageId) -> String {
    let lost = history.message(id);
    let later = history.published().find(|(other, message, _)| {
        message.publish > lost.publish
            && (message.publisher, message.topic, message.key) == (lost.publisher, lost.topic, lost.key)
            && !history.deliveries_of(*other).is_empty()
    });
    later.map_or(String::new(), |(later, ..)| {
        format!(", although the later {} of the same publisher was delivered", history.message_id(later))
    })
}
