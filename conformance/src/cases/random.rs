//! Random workloads: whatever publishers and members do, and whatever breaks meanwhile, what is promised holds.

mod faults;
mod member;
mod publisher;
mod run;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anybroker_core::{Broker, DeadLetter, Durability, FanOut, Level as _};
use anybroker_memory::Adversary;
use tokio::time::Instant;

use super::{CaseResult, Context, Failure, Finding, failed};
use crate::properties::{Property, Report, Verdict};
use crate::recorder::Recorder;
use crate::workload::{Budget, Possible, Shape, Workload, seed_of, shrink};

/// How long new workloads are begun.
const QUIETLY: Duration = Duration::from_secs(5);
const BROKEN: Duration = Duration::from_secs(12);

pub(super) async fn random_workloads(context: Context) -> CaseResult {
    let shape = Shape::small(possible(&context).await?);
    explore(&context, &shape, QUIETLY, Budget::default()).await
}

pub(super) async fn random_workloads_with_faults(context: Context) -> CaseResult {
    let possible = possible(&context).await?;
    if !possible.breaks() {
        return Ok(Finding::NotApplicable(
            "there is no connection and no process that could be broken".into(),
        ));
    }
    explore(&context, &Shape::broken(possible), BROKEN, Budget::default()).await
}

/// The adversary in the broker, where it is a simulated one that has one.
fn adversary(broker: &Broker) -> Option<&Adversary> {
    broker.native().and_then(|native| native.downcast_ref())
}

/// The name of a round of a soak.
pub(crate) fn round(number: u64) -> String {
    format!("{ROUND}{number}")
}

const ROUND: &str = "round-";

/// Whether a case of that name runs random workloads.
pub(crate) fn is_one(case: &str) -> bool {
    case.starts_with("random_workloads") || case.starts_with(ROUND)
}

/// What a backend has that workloads can use and break.
///
/// # Errors
/// It cannot be reached.
///
/// # Cancel safety
/// Cancel safe.
pub async fn possible(context: &Context) -> Result<Possible, Failure> {
    let broker = context.broker().await?;
    let guarantees = broker.guarantees(None, None).await?;
    broker.close().await?;
    let durable = guarantees.durability_on_confirm.value.satisfies(Durability::PageCache);
    Ok(Possible {
        groups: if guarantees.fan_out.value.satisfies(FanOut::Emulated) { 3 } else { 1 },
        dead_letters: guarantees.dead_letter.value.satisfies(DeadLetter::AtMostOnce),
        connections: context.detour.is_ok(),
        processes: context.spawn_member.is_ok(),
        pause: context.faults.is_ok(),
        kill: context.faults.is_ok() && context.volatile.is_none() && durable,
        // What a larger window returned waits where a smaller one has no room, and what that returns comes behind it
        // (`docs/findings.md`): there the order after a member's death asks for the same windows.
        windows: guarantees.backend != "rabbitmq",
    })
}

/// Runs the workloads of a seed and of those that follow from it, for a while, and at least one. The first that breaks a
/// promise is shrunk and told.
///
/// # Errors
/// A promise is broken, or a workload cannot be run to its end; the text has the seed, the smallest workload that shows
/// it, and what it shows.
///
/// # Cancel safety
/// A cancelled call may leave topics behind, and the broker paused or killed.
pub async fn explore(context: &Context, shape: &Shape, time: Duration, shrinking: Budget) -> CaseResult {
    let began = Instant::now();
    let mut sum = Judged::default();
    let mut workloads = 0;
    while workloads == 0 || began.elapsed() < time {
        let seed = seed_of(context.seed, workloads);
        match judge(context, &shape.workload(seed)).await {
            Ok(judged) => sum.add(judged),
            Err(broken) => return failed(told(context, shape, seed, broken, shrinking).await),
        }
        workloads += 1;
    }
    Ok(Finding::Holds(format!("{workloads} workloads with {sum}")))
}

/// What came of a workload that broke nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Messages confirmed.
    pub confirmed: u64,
    /// Publishes whose outcome is unknown.
    pub unknown: u64,
    /// Messages acknowledged, of all groups.
    pub acknowledged: u64,
    /// Faults injected.
    pub faults: u64,
}

impl Judged {
    fn add(&mut self, other: Judged) {
        self.confirmed += other.confirmed;
        self.unknown += other.unknown;
        self.acknowledged += other.acknowledged;
        self.faults += other.faults;
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Judged { confirmed, unknown, acknowledged, faults } = self;
        write!(f, "{faults} faults, {confirmed} confirmed, {unknown} unknown, {acknowledged} acknowledged")
    }
}

/// What a workload breaks.
#[derive(Clone)]
pub struct Broken {
    /// The properties that its history violates; none if it did not come to its end.
    pub properties: BTreeSet<Property>,
    /// The counterexamples, or why it did not come to its end.
    pub text: String,
    /// What was recorded.
    recorder: Option<Arc<Recorder>>,
}

impl Broken {
    fn end(error: &dyn fmt::Display, recorder: Option<Arc<Recorder>>) -> Self {
        Broken { properties: BTreeSet::new(), text: format!("it did not come to its end: {error}"), recorder }
    }

    fn promise(report: &Report, recorder: Arc<Recorder>) -> Self {
        let broken = report.properties.iter().filter(|(_, finding)| bad(finding.verdict));
        let properties = broken.map(|(property, _)| *property).collect();
        Broken { properties, text: report.to_string(), recorder: Some(recorder) }
    }

    /// Whether this may be the same mistake.
    fn like(&self, other: &Broken) -> bool {
        self.properties.is_empty() == other.properties.is_empty()
            && (self.properties.is_empty() || !self.properties.is_disjoint(&other.properties))
    }

    /// Keeps its history for a person to look at; says where.
    pub fn keep(&self, name: &str, seed: u64) -> String {
        let path = std::env::temp_dir().join(format!("anybroker-{name}-{seed}.history"));
        match self.recorder.as_ref().map(|recorder| recorder.save(&path)) {
            Some(Ok(())) => format!("its history: anybroker check {}", path.display()),
            Some(Err(error)) => format!("its history could not be kept: {error}"),
            None => "it has no history".to_owned(),
        }
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broken").field("properties", &self.properties).finish_non_exhaustive()
    }
}

fn bad(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Violation | Verdict::Stalled)
}

/// Runs one workload and holds its history to what the backend promises.
///
/// # Errors
/// What it breaks.
///
/// # Cancel safety
/// As [`explore`].
pub async fn judge(context: &Context, workload: &Workload) -> Result<Judged, Broken> {
    let ran = run::run(context, workload).await;
    let recorder = ran.recorder;
    if let Some(recorder) = &recorder {
        context.histories.lock().unwrap_or_else(PoisonError::into_inner).push(recorder.clone());
    }
    let judged = match (ran.ended, &recorder) {
        (Ok(judged), Some(_)) => judged,
        (Ok(_), None) => return Err(Broken::end(&"nothing was recorded", None)),
        (Err(error), _) => return Err(Broken::end(&error, recorder)),
    };
    match recorder.as_ref().map(|recorder| (recorder.check(), recorder)) {
        Some((Ok(report), recorder)) if bad(report.verdict) || report.verdict == Verdict::Inconclusive => {
            Err(Broken::promise(&report, recorder.clone()))
        }
        Some((Err(error), _)) => Err(Broken::end(&error, recorder)),
        _ => Ok(judged),
    }
}

/// Shrinks a workload that breaks something, and tells what a person needs to find it again.
async fn told(context: &Context, shape: &Shape, seed: u64, first: Broken, budget: Budget) -> String {
    let shrunk = shrink(shape.tree(seed), budget, |candidate| {
        // Its history is no evidence of the run.
        let context = Context { histories: Default::default(), ..context.clone() };
        let first = first.clone();
        async move { judge(&context, &candidate).await.err().filter(|broken| broken.like(&first)) }
    })
    .await;
    let broken = shrunk.broken.as_ref().unwrap_or(&first);
    let (workload, name) = (&shrunk.workload, &context.name);
    let (steps, runs) = (workload.steps.len(), shrunk.runs);
    format!(
        "the workload of seed {seed} breaks a promise; {steps} steps still do, found in {runs} runs:\n{workload}{}\n{}\n\
         again: ANYBROKER_SEED={seed} cargo test -- {name}::random_workloads, or: anybroker conform URL --seed {seed}",
        broken.text,
        broken.keep(name, seed),
    )
}
