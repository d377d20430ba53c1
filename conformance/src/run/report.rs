//! What a run found: one versioned JSON document, from which every other form is made.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anybroker_core::RowView;
use serde::{Deserialize, Serialize};

use super::Options;
use crate::cases::random;
use crate::properties::{Actor, Property, Violation, Way};
use crate::subject::Subject;

/// The value of `format`.
pub const VERSION: &str = "anybroker-conformance/1";

/// What a run on one configuration of a backend found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The version of this format, [`VERSION`].
    pub format: String,
    /// The backend's name, for example `kafka`.
    pub backend: String,
    /// The configuration's name, for example `rabbitmq-one-queue`.
    pub configuration: String,
    /// The URL, without secrets.
    pub url: String,
    /// The server's version, where it says it.
    pub version: Option<String>,
    /// What decided every random choice.
    pub seed: u64,
    /// Which faults were allowed: `none`, `client`, `all`.
    pub faults_allowed: String,
    /// When it began: seconds since 1970.
    pub began: u64,
    /// The verdict.
    pub verdict: RunVerdict,
    /// What kept promises from being proved: too little evidence, faults that found nothing in flight.
    pub unmet: Vec<String>,
    /// What was found of each property that was promised.
    pub properties: BTreeMap<Property, PropertyReport>,
    /// How often each kind of fault was injected.
    pub faults: BTreeMap<String, u64>,
    /// Every fault, with what it found in flight.
    pub fault_list: Vec<FaultReport>,
    /// Publishes recorded.
    pub published: u64,
    /// Deliveries recorded.
    pub delivered: u64,
    /// Deliveries that were marked as redeliveries.
    pub redeliveries: u64,
    /// Publishes whose outcome stayed unknown.
    pub unknown_publishes: u64,
    /// The cases.
    pub cases: Vec<CaseReport>,
    /// What the configuration promises.
    pub guarantees: Vec<GuaranteeReport>,
}

/// The verdict of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunVerdict {
    /// A promise was broken.
    Violation,
    /// Messages did not move again in time.
    Stalled,
    /// A case failed otherwise.
    Failed,
    /// A history does not say.
    Inconclusive,
    /// A promise was not exercised enough.
    NotExercised,
    /// It was left out on purpose.
    NotRun,
    /// Every promised property was exercised and held.
    Pass,
}

/// The verdict of a property over a whole run, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropertyVerdict {
    /// The promise was broken.
    Violation,
    /// Messages did not move again in time.
    Stalled,
    /// A history does not say.
    Inconclusive,
    /// It could have failed too seldom.
    NotExercised,
    /// It could have failed often enough, and did not.
    Pass,
    /// There is nothing here that could make it fail; the reason says why.
    NotApplicable,
}

/// What a run found of one property.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PropertyReport {
    /// The verdict.
    pub verdict: PropertyVerdict,
    /// In how many instances it could have failed.
    pub opportunities: u64,
    /// How many it takes to count as exercised.
    pub minimum: u64,
    /// The cases in which it could have failed.
    pub cases: Vec<String>,
    /// The first violations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<ViolationReport>,
    /// Why a history does not say, or why it does not apply here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A counterexample with what stands on its lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViolationReport {
    /// The case whose history shows it.
    pub case: String,
    /// The messages' ids.
    pub messages: Vec<String>,
    /// What they show, in a sentence.
    pub explanation: String,
    /// What happened, in order.
    pub timeline: Vec<StepReport>,
}

/// One line of a counterexample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// The line of the history, counted from 1.
    pub line: u64,
    /// When, in nanoseconds.
    pub time: u64,
    /// Who did it, or to whom it was done.
    pub actor: Actor,
    /// Which way it went between the actor and the broker.
    pub way: Way,
    /// The message that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What happened.
    pub text: String,
}

/// A fault that was injected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// The case.
    pub case: String,
    /// Its kind, as the history has it.
    pub kind: String,
    /// Publishes without an outcome and deliveries unsettled at that moment.
    pub in_flight: u64,
}

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// The verdict.
    pub verdict: CaseVerdict,
    /// The evidence, the row that excludes it, the reason, or why it failed.
    pub text: String,
    /// How long it took.
    pub seconds: f64,
    /// The seed that repeats it.
    pub seed: u64,
}

/// The verdict of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseVerdict {
    /// It holds.
    Holds,
    /// It does not.
    Failed,
    /// The guarantees exclude it.
    NotPromised,
    /// There is nothing here that it could be done to.
    NotApplicable,
    /// It was left out on purpose.
    NotRun,
}

/// One guarantee as the configuration gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuaranteeReport {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// How it is known.
    pub basis: String,
}

impl RunReport {
    pub(super) fn new(subject: &Subject, options: &Options) -> Self {
        RunReport {
            format: VERSION.to_owned(),
            backend: subject.name.clone(),
            configuration: subject.name.clone(),
            url: subject.shown_url(),
            version: None,
            seed: options.seed,
            faults_allowed: options.faults.name().to_owned(),
            began: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            verdict: RunVerdict::NotRun,
            unmet: Vec::new(),
            properties: BTreeMap::new(),
            faults: BTreeMap::new(),
            fault_list: Vec::new(),
            published: 0,
            delivered: 0,
            redeliveries: 0,
            unknown_publishes: 0,
            cases: Vec::new(),
            guarantees: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, faults: &[FaultReport]) {
        self.fault_list = faults.to_vec();
        for fault in faults {
            *self.faults.entry(fault.kind.clone()).or_default() += 1;
        }
    }

    /// The exit code of a program that ends with this report: 0 only if every promised property was exercised and held.
    pub fn exit_code(&self) -> u8 {
        u8::from(!matches!(self.verdict, RunVerdict::Pass | RunVerdict::NotRun))
    }
}

impl FaultReport {
    /// Whether it breaks something; otherwise it undoes that.
    pub fn breaks(&self) -> bool {
        !matches!(self.kind.as_str(), "heal" | "restart" | "resume")
    }
}

impl FaultReport {
    /// Whether it must have found messages in flight. A random workload may be idle when it breaks something: such a fault
    /// is listed with what it found, and proves nothing.
    pub fn counts(&self) -> bool {
        self.breaks() && !random::is_one(&self.case)
    }
}

impl ViolationReport {
    /// How many of a property are listed.
    pub(super) const LISTED: usize = 5;

    pub(super) fn of(case: &str, violation: &Violation) -> Self {
        let step = |step: &crate::properties::Step| StepReport {
            line: step.line,
            time: step.time,
            actor: step.actor.clone(),
            way: step.way,
            message: step.message.clone(),
            text: step.text.clone(),
        };
        ViolationReport {
            case: case.to_owned(),
            messages: violation.messages.clone(),
            explanation: violation.explanation.clone(),
            timeline: violation.timeline.iter().map(step).collect(),
        }
    }
}

impl CaseReport {
    pub(super) fn new(name: &str, verdict: CaseVerdict, text: String, seed: u64) -> Self {
        CaseReport { name: name.to_owned(), verdict, text, seconds: 0.0, seed }
    }
}

impl PropertyVerdict {
    /// Its name in the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            PropertyVerdict::Violation => "violation",
            PropertyVerdict::Stalled => "stalled",
            PropertyVerdict::Inconclusive => "inconclusive",
            PropertyVerdict::NotExercised => "not_exercised",
            PropertyVerdict::Pass => "pass",
            PropertyVerdict::NotApplicable => "not_applicable",
        }
    }
}

impl CaseVerdict {
    /// Its name in the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            CaseVerdict::Holds => "holds",
            CaseVerdict::Failed => "failed",
            CaseVerdict::NotPromised => "not_promised",
            CaseVerdict::NotApplicable => "not_applicable",
            CaseVerdict::NotRun => "not_run",
        }
    }
}

impl RunVerdict {
    /// Its name in the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            RunVerdict::Violation => "violation",
            RunVerdict::Stalled => "stalled",
            RunVerdict::Failed => "failed",
            RunVerdict::Inconclusive => "inconclusive",
            RunVerdict::NotExercised => "not_exercised",
            RunVerdict::NotRun => "not_run",
            RunVerdict::Pass => "pass",
        }
    }
}

impl From<&RowView<'_>> for GuaranteeReport {
    fn from(row: &RowView<'_>) -> Self {
        GuaranteeReport {
            name: row.name.to_owned(),
            value: row.value.to_string(),
            basis: row.basis.as_str().to_owned(),
        }
    }
}
