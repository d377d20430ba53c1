//! What a check found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::property::Property;

/// What a check of a history found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The worst verdict of any property.
    pub verdict: Verdict,
    /// Every property's finding.
    pub properties: BTreeMap<Property, Finding>,
}

/// What a check found of one property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The verdict.
    pub verdict: Verdict,
    /// In how many instances the property could have failed.
    pub opportunities: u64,
    /// The first violations, or stalls of P17.
    pub violations: Vec<Violation>,
    /// How many violations there are, if that is more than are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violations_total: Option<u64>,
    /// Why the verdict is not better than inconclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A verdict, from the worst to those that say least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The promise was broken.
    Violation,
    /// Messages did not move again in time; they may still.
    Stalled,
    /// The history does not say.
    Inconclusive,
    /// It could have failed, and did not.
    Pass,
    /// It never could have failed.
    NotExercised,
    /// It is not promised.
    NotPromised,
}

/// A counterexample: the few messages and lines that show that a promise was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The messages' ids.
    pub messages: Vec<String>,
    /// The lines of the history, counted from 1.
    pub lines: Vec<u64>,
    /// What they show, in a sentence.
    pub explanation: String,
    /// What stands on the lines.
    #[serde(skip)]
    pub timeline: Vec<Step>,
}

/// One line of a counterexample, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The line, counted from 1.
    pub line: u64,
    /// When, in nanoseconds.
    pub time: u64,
    /// Who did it, or to whom it was done.
    pub actor: Actor,
    /// Which way it went between the actor and the broker.
    pub way: Way,
    /// The message that it is about.
    pub message: Option<String>,
    /// What happened.
    pub text: String,
}

/// Who takes part in a history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A publisher, by its name.
    Publisher(String),
    /// The broker.
    Broker,
    /// A consumer, by its name.
    Consumer(String),
}

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From the actor to the broker.
    ToBroker,
    /// From the broker to the actor.
    FromBroker,
    /// Neither: it happens to the actor itself.
    At,
}

impl Report {
    /// A report of these findings.
    pub(crate) fn new(properties: BTreeMap<Property, Finding>) -> Self {
        let worst = properties.values().map(|finding| finding.verdict).min();
        let verdict = worst.unwrap_or(Verdict::Pass).min(Verdict::Pass);
        Self { verdict, properties }
    }

    /// The exit code of a program that ends with this report: 0, or 1 if a promise was broken or something stalled.
    /// `strict` also gives 1 if a promise was not proved: inconclusive or not exercised.
    pub fn exit_code(&self, strict: bool) -> u8 {
        let unproved = |verdict| matches!(verdict, Verdict::Inconclusive | Verdict::NotExercised);
        let bad = |verdict| matches!(verdict, Verdict::Violation | Verdict::Stalled);
        let fails = |finding: &Finding| bad(finding.verdict) || strict && unproved(finding.verdict);
        u8::from(self.properties.values().any(fails))
    }
}

impl Finding {
    /// A finding without evidence.
    pub(crate) fn of(verdict: Verdict) -> Self {
        Self { verdict, opportunities: 0, violations: Vec::new(), violations_total: None, reason: None }
    }

    /// How many violations there are, listed or not.
    pub fn violation_count(&self) -> u64 {
        self.violations_total.unwrap_or(self.violations.len() as u64)
    }
}

impl Verdict {
    /// Its name in the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Violation => "violation",
            Self::Stalled => "stalled",
            Self::Inconclusive => "inconclusive",
            Self::Pass => "pass",
            Self::NotExercised => "not_exercised",
            Self::NotPromised => "not_promised",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdicts: &[Verdict]) -> Report {
        let findings = verdicts.iter().map(|verdict| Finding::of(*verdict));
        Report::new(Property::ALL.iter().copied().zip(findings).collect())
    }

    #[test]
    fn the_worst_verdict_is_the_files() {
        use Verdict::*;
        assert_eq!(report(&[Pass, Stalled, Violation, Inconclusive]).verdict, Violation);
        assert_eq!(report(&[Inconclusive, Pass, Stalled]).verdict, Stalled);
        assert_eq!(report(&[Pass, NotExercised, Inconclusive]).verdict, Inconclusive);
        assert_eq!(report(&[NotExercised, Pass, NotPromised]).verdict, Pass);
        assert_eq!(report(&[NotExercised, NotPromised]).verdict, Pass);
    }

    #[test]
    fn the_exit_code_follows_the_verdicts() {
        use Verdict::*;
        let codes =
            |verdict| (report(&[Pass, verdict]).exit_code(false), report(&[Pass, verdict]).exit_code(true));
        assert_eq!(codes(Violation), (1, 1));
        assert_eq!(codes(Stalled), (1, 1));
        assert_eq!(codes(Inconclusive), (0, 1));
        assert_eq!(codes(NotExercised), (0, 1));
        assert_eq!(codes(NotPromised), (0, 0));
    }
}
