//! Gathers what a history shows of one property.

use super::report::{Finding, Verdict, Violation};
use crate::history::{At, GroupId, History, MessageId};

/// How many violations of a property are listed; all are counted.
const LISTED: usize = 20;

/// What a history shows of one property.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    opportunities: u64,
    total: u64,
    listed: Vec<Violation>,
    unclear: Option<String>,
}

impl Evidence {
    /// The property could have failed here.
    pub(crate) fn opportunity(&mut self) {
        self.opportunities(1);
    }

    /// The property could have failed in so many instances.
    pub(crate) fn opportunities(&mut self, count: u64) {
        self.opportunities = self.opportunities.saturating_add(count);
    }

    /// The property failed; `describe` is called only if the violation is listed.
    pub(crate) fn violation(&mut self, describe: impl FnOnce() -> Violation) {
        self.total += 1;
        if self.listed.len() < LISTED {
            self.listed.push(describe());
        }
    }

    /// The history does not say whether the property held; the first reason given is kept.
    pub(crate) fn inconclusive(&mut self, reason: impl FnOnce() -> String) {
        self.unclear.get_or_insert_with(reason);
    }

    /// The finding, where a failure is a violation.
    pub(crate) fn finding(self) -> Finding {
        self.finding_where_failure_is(Verdict::Violation)
    }

    /// The finding, where a failure is a stall.
    pub(crate) fn progress_finding(self) -> Finding {
        self.finding_where_failure_is(Verdict::Stalled)
    }

    fn finding_where_failure_is(self, failure: Verdict) -> Finding {
        let verdict = match () {
            () if self.total > 0 => failure,
            () if self.unclear.is_some() => Verdict::Inconclusive,
            () if self.opportunities == 0 => Verdict::NotExercised,
            () => Verdict::Pass,
        };
        Finding {
            verdict,
            opportunities: self.opportunities,
            violations_total: (self.total > self.listed.len() as u64).then_some(self.total),
            violations: self.listed,
            reason: self.unclear.filter(|_| verdict == Verdict::Inconclusive),
        }
    }
}

/// A violation shown by these messages and events.
pub(crate) fn violation(
    history: &History,
    messages: &[MessageId],
    events: &[Option<At>],
    explanation: String,
) -> Violation {
    let mut lines: Vec<_> = events.iter().flatten().map(|at| history.line(*at)).collect();
    lines.sort_unstable();
    lines.dedup();
    let mut names: Vec<String> = Vec::new();
    for message in messages {
        let name = history.message_id(*message);
        if !names.iter().any(|each| each == name) {
            names.push(name.to_owned());
        }
    }
    Violation { messages: names, lines, explanation, timeline: Vec::new() }
}

/// ` in group g`, or nothing if the topic has only this group.
pub(crate) fn in_group(history: &History, group: GroupId) -> String {
    let topic = history.group(group).topic;
    let several = history.all_groups().filter(|(_, each)| each.topic == topic).count() > 1;
    if several { format!(" in group {}", history.name(history.group(group).name)) } else { String::new() }
}
