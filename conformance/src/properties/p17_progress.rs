//! P17, progress: after the last heal, everything moves again.
//!
//! The last heal is the last `heal`, `restart` or `resume` fault. Every sentinel published ok is delivered to every
//! group that it is owed to and that had a session open in that time, within `within_ms` of the heal or of the
//! sentinel's `publish`, whichever is later. A failure is a stall, never a loss: what has not come may still. An
//! opportunity is such a pair of sentinel and group. Inconclusive if the file ends before the time is up. Without a
//! heal it is not exercised. Always applies. Source: guarantees §9, P17.

use super::evidence::{Evidence, violation};
use super::fate::Fate;
use crate::history::{At, GroupId, History, MessageId};

pub(crate) fn check(history: &History, within: u64) -> Evidence {
    let mut evidence = Evidence::default();
    let heals = |kind: &str| matches!(kind, "heal" | "restart" | "resume");
    let Some(heal) = history.faults().iter().rev().find(|fault| heals(history.name(fault.kind))) else {
        return evidence;
    };
    let fate = Fate::new(history);
    for (id, message, publish) in history.published().filter(|(_, message, _)| message.sentinel) {
        if fate.confirmed(message).is_none() {
            continue;
        }
        let from = publish.max(heal.at);
        let deadline = history.time(from).saturating_add(within);
        for group in fate.groups(message.topic).iter().filter(|group| fate.owed(message, **group)) {
            if has_session(history, *group, from, deadline) {
                evidence.opportunity();
                arrives(history, &mut evidence, (id, *group), from, deadline);
            }
        }
    }
    evidence
}

/// Whether a session of a group was open at some time from an event to a deadline.
fn has_session(history: &History, group: GroupId, from: At, deadline: u64) -> bool {
    let mut sessions = history.all_sessions().iter().filter(|session| session.group == group);
    sessions.any(|session| {
        history.time(session.opened) <= deadline && session.closed.is_none_or(|(closed, _)| closed > from)
    })
}

fn arrives(
    history: &History,
    evidence: &mut Evidence,
    (id, group): (MessageId, GroupId),
    from: At,
    deadline: u64,
) {
    let first = history.deliveries_to(id, group).first().map(|first| history.delivery(*first).at);
    if first.is_some_and(|first| history.time(first) <= deadline) {
        return;
    }
    let (name, group) = (history.message_id(id), history.name(history.group(group).name));
    if first.is_none() && history.end() < deadline {
        return evidence
            .inconclusive(|| format!("the file ends before {name} had its time to reach group {group}"));
    }
    evidence.violation(|| {
        let explanation = match first {
            Some(_) => format!("the sentinel {name} reached group {group} too late after the last heal"),
            None => format!("the sentinel {name} did not reach group {group} in time after the last heal"),
        };
        let events = [history.message(id).publish, Some(from), first];
        violation(history, &[id], &events, explanation)
    });
}
