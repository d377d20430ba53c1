//! P17, progress: after the last heal, everything moves again.
//!
//! The last heal is the last `heal`, `restart` or `resume` fault. Every sentinel published ok is delivered to every
//! group that it is owed to and that had a session open in that time, within `within_ms` of the heal or of the
//! sentinel's `publish`, whichever is later; one that was evicted or dead-lettered unseen is exempt. A failure is a
//! stall, never a loss: what has not come may still. An opportunity is such a pair of sentinel and group. Inconclusive
//! if the file ends before the time is up. Without a heal it is not exercised. Always applies. Source: guarantees §9,
//! P17.

use std::collections::HashMap;

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
    let sessions = Sessions::new(history);
    for (id, message, publish) in history.published().filter(|(_, message, _)| message.sentinel) {
        if fate.confirmed(message).is_none() {
            continue;
        }
        let from = publish.max(heal.at);
        let deadline = history.time(from).saturating_add(within);
        for group in fate.groups(message.topic).iter().filter(|group| fate.owed(message, **group)) {
            let excused = history.deliveries_to(id, *group).is_empty() && fate.removed(id);
            if !excused && sessions.open_between(*group, from, history.first_from(deadline.saturating_add(1)))
            {
                evidence.opportunity();
                arrives(history, &mut evidence, (id, *group), from, deadline);
            }
        }
    }
    evidence
}

/// The sessions of each group in the order of their opening, each with the latest end of any up to it.
struct Sessions(HashMap<GroupId, Vec<(At, At)>>);

impl Sessions {
    fn new(history: &History) -> Self {
        let mut sessions: HashMap<_, Vec<(At, At)>> = HashMap::new();
        for session in history.all_sessions() {
            let before = sessions.entry(session.group).or_default();
            let end = session.closed.map_or(At::new(history.events()), |(closed, _)| closed);
            let latest = before.last().map_or(end, |(_, latest)| end.max(*latest));
            before.push((session.opened, latest));
        }
        Self(sessions)
    }

    /// Whether a session of a group was open at some time from one event to before another.
    fn open_between(&self, group: GroupId, from: At, until: At) -> bool {
        let sessions = self.0.get(&group).map_or(&[][..], Vec::as_slice);
        let opened = &sessions[..sessions.partition_point(|(opened, _)| *opened < until)];
        opened.last().is_some_and(|(_, latest)| *latest > from)
    }
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
