//! P11b, no false deduplication: what is new is not taken for a duplicate.
//!
//! A confirmed message whose deduplication id no earlier message of its topic has, but whose receipt says `duplicate`,
//! is delivered to somebody by the drain of a group that it is owed to, or another message of its deduplication id is: of
//! two that are published at the same time the broker may have had the later one first. P3's exemptions apply. An opportunity is a
//! confirmed message with a new deduplication id. Inconclusive if such a message is missing and no such group was
//! drained. Applies to brokers that deduplicate. Source: guarantees §9, P11b.

use super::evidence::{Evidence, violation};
use super::fate::Fate;
use super::twins::Twins;
use crate::history::{At, History, MessageId};

pub(crate) fn check(history: &History) -> Evidence {
    let fate = Fate::new(history);
    let twins = Twins::new(history);
    let mut evidence = Evidence::default();
    for (id, message, _) in history.published().filter(|(id, ..)| twins.is_new(history, *id)) {
        let Some(confirmed) = fate.confirmed(message).filter(|at| !fate.died(id, *at)) else { continue };
        evidence.opportunity();
        let delivered = |id: &MessageId| !history.deliveries_of(*id).is_empty();
        let seen = delivered(&id) || twins.of(history, id).iter().any(delivered);
        if message.duplicate && !message.evicted && !seen {
            suppressed(history, &fate, &mut evidence, id, confirmed);
        }
    }
    evidence
}

fn suppressed(history: &History, fate: &Fate<'_>, evidence: &mut Evidence, id: MessageId, confirmed: At) {
    let (message, name) = (history.message(id), history.message_id(id));
    let mut owed = fate.groups(message.topic).iter().filter(|group| fate.owed(message, **group)).peekable();
    if owed.peek().is_none() {
        return;
    }
    match owed.filter_map(|group| history.group(*group).drained).find(|drained| *drained > confirmed) {
        None => {
            evidence.inconclusive(|| format!("{name} was called a duplicate, and no group was drained since"))
        }
        Some(drained) => evidence.violation(|| {
            let explanation =
                format!("{name} is new but was called a duplicate, and was delivered to nobody");
            violation(history, &[id], &[message.publish, message.published, Some(drained)], explanation)
        }),
    }
}
