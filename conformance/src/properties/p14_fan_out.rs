//! P14, fan-out: every live group gets every message.
//!
//! Where a topic has two groups or more: every confirmed message is delivered to every group whose first session opened
//! before the message was published, by the group's drain. A group stays live without sessions. P3's exemptions apply:
//! evicted, dead-lettered, given up, suppressed as a duplicate, not committed, lost to a fault that it need not survive.
//! An opportunity is such a pair of message and group. Inconclusive if a message is missing from a group that was not
//! drained since it was confirmed. Applies to publish-subscribe. Source: guarantees §9, P14.

use super::evidence::{Evidence, violation};
use super::fate::Fate;
use crate::history::{At, GroupId, History, MessageId};

pub(crate) fn check(history: &History) -> Evidence {
    let fate = Fate::new(history);
    let mut evidence = Evidence::default();
    for (id, message, publish) in history.published() {
        let groups = fate.groups(message.topic);
        let Some(confirmed) = fate.confirmed(message).filter(|at| groups.len() > 1 && !fate.died(id, *at))
        else {
            continue;
        };
        for group in groups.iter().filter(|group| history.group(**group).opened < publish) {
            evidence.opportunity();
            let delivered = !history.deliveries_to(id, *group).is_empty() || fate.removed(id);
            if !delivered && !fate.twin_delivered(id, *group) {
                missing(history, &mut evidence, id, *group, confirmed);
            }
        }
    }
    evidence
}

fn missing(history: &History, evidence: &mut Evidence, id: MessageId, group: GroupId, confirmed: At) {
    let (message, name) = (history.message(id), history.message_id(id));
    let group = history.group(group);
    let group_name = history.name(group.name);
    match group.drained.filter(|drained| *drained > confirmed) {
        None => evidence.inconclusive(|| {
            format!("{name} is missing from group {group_name}, which was not drained after its publish")
        }),
        Some(drained) => evidence.violation(|| {
            let explanation = format!("{name} was published but group {group_name} never got it");
            let events = [Some(group.opened), message.publish, message.published, Some(drained)];
            violation(history, &[id], &events, explanation)
        }),
    }
}
