//! Runs cases on a backend, gathers what their histories show, and says whether every promise was exercised and held.
//!
//! ```no_run
//! # use anybroker_conformance::{run, subject::Subject};
//! # async fn example(subject: Subject) {
//! let report = run::run(&subject, &run::Options::default(), &run::Silent).await;
//! println!("{}: {:?}", report.backend, report.verdict);
//! # }
//! ```

mod evidence;
mod excuses;
mod minima;
mod report;
mod seen;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tokio::task::JoinSet;

pub use evidence::{Evidence, Histories};
pub use minima::{IN_FLIGHT, minimum};
pub use report::{
    CaseReport, CaseVerdict, FaultReport, GuaranteeReport, PropertyReport, PropertyVerdict, RunReport,
    RunVerdict, StepReport, VERSION, ViolationReport,
};

use crate::cases::{CASES, Case, Context, DISTURBING, Disturbs, Finding};
use crate::subject::Subject;

/// How many cases that disturb nothing run at the same time: they wait more than they work.
const BESIDE: usize = 4;

/// How long a case may take before it counts as hung.
pub const CASE: Duration = Duration::from_secs(180);

/// Which faults a run may inject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultLevel {
    /// None: nothing but cases that disturb nothing.
    None,
    /// On the client's side: connections through a proxy, member processes.
    Client,
    /// Also the broker's process.
    #[default]
    All,
}

impl FaultLevel {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            FaultLevel::None => "none",
            FaultLevel::Client => "client",
            FaultLevel::All => "all",
        }
    }
}

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The faults that it may inject.
    pub faults: FaultLevel,
    /// Decides every random choice.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { faults: FaultLevel::default(), seed: u64::from(std::process::id()) }
    }
}

/// Hears how a run goes on.
pub trait Progress: Send + Sync {
    /// A case begins; so many are done.
    fn begins(&self, case: &str, done: usize, of: usize);
    /// A case has ended.
    fn ended(&self, case: &CaseReport);
}

/// Says nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begins(&self, _case: &str, _done: usize, _of: usize) {}
    fn ended(&self, _case: &CaseReport) {}
}

/// Runs every case on a subject, those that disturb nothing a few at a time, and reports.
///
/// # Cancel safety
/// A cancelled run may leave topics behind, and the broker paused or killed: see [`restore`].
pub async fn run(subject: &Subject, options: &Options, progress: &dyn Progress) -> RunReport {
    let evidence = Evidence::default();
    cases(subject, options, progress, &evidence).await;
    evidence.report(subject, options).await
}

/// Runs every case on a subject, and adds what they show to the evidence, in the order of the cases.
///
/// # Cancel safety
/// As [`run`].
pub(crate) async fn cases(
    subject: &Subject,
    options: &Options,
    progress: &dyn Progress,
    evidence: &Evidence,
) {
    let cases: Vec<_> = CASES.iter().chain(DISTURBING).filter(|case| subject.runs(case)).collect();
    let (of, done) = (cases.len(), AtomicUsize::new(0));
    let one = async |case: &Case| {
        progress.begins(case.name, done.load(Ordering::Relaxed), of);
        let report = run_case(subject, case, options, evidence).await;
        done.fetch_add(1, Ordering::Relaxed);
        progress.ended(&report);
        evidence.case(report);
    };
    let (beside, alone): (Vec<_>, Vec<_>) =
        cases.iter().copied().partition(|case| case.disturbs == Disturbs::Nothing);
    futures::stream::iter(beside).map(&one).buffer_unordered(BESIDE).collect::<()>().await;
    for case in alone {
        one(case).await;
    }
    evidence.sort(|report| cases.iter().position(|case| case.name == report.name));
}

/// Brings a broker back that a run which was given up may have paused or killed. A broker that cannot be broken is left
/// alone.
///
/// # Errors
/// It does not come back; the text says why.
///
/// # Cancel safety
/// A cancelled call may leave it as it was.
pub async fn restore(subject: &Subject) -> Result<(), String> {
    match subject.faults() {
        Ok(faults) => faults.restart().await,
        Err(_) => Ok(()),
    }
}

/// Runs one case, and adds what its histories show to the evidence.
///
/// # Cancel safety
/// As [`run`].
pub async fn run_case(subject: &Subject, case: &Case, options: &Options, evidence: &Evidence) -> CaseReport {
    let began = Instant::now();
    if let Some(reason) = &subject.excluded {
        return CaseReport::new(case.name, CaseVerdict::NotRun, reason.clone(), options.seed);
    }
    if let Some(missing) = &subject.missing {
        return CaseReport::new(case.name, CaseVerdict::Failed, missing.clone(), options.seed);
    }
    let histories = evidence.histories();
    let context = subject.context(options, histories.clone());
    // A task of its own, which ends with this future; one that panics ends nothing but itself.
    let mut task = JoinSet::new();
    task.spawn((case.run)(context));
    let ended = tokio::time::timeout(CASE, task.join_next()).await;
    drop(task);
    let ended = ended.map(|joined| match joined {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(error.into()),
        None => Err("it did not begin".into()),
    });
    let (verdict, mut text) = match ended {
        Ok(Ok(Finding::Holds(text))) => (CaseVerdict::Holds, text),
        Ok(Ok(Finding::NotPromised(text))) => (CaseVerdict::NotPromised, text),
        Ok(Ok(Finding::NotApplicable(text))) => (CaseVerdict::NotApplicable, text),
        Ok(Err(error)) => (CaseVerdict::Failed, error.to_string()),
        Err(_) => (CaseVerdict::Failed, format!("hangs; given up after {CASE:?}")),
    };
    if let (CaseVerdict::Failed, Disturbs::Broker, Ok(faults)) = (verdict, case.disturbs, subject.faults()) {
        // However far it came: those that follow need the broker.
        if let Err(error) = faults.restart().await {
            text = format!("{text}; {error}");
        }
    }
    evidence.conclude(case.name, histories);
    CaseReport {
        seconds: began.elapsed().as_secs_f64(),
        ..CaseReport::new(case.name, verdict, text, options.seed)
    }
}

impl Context {
    /// Whatever `faults` do not allow has no way to be done.
    pub(crate) fn limited_to(self, faults: FaultLevel) -> Self {
        let without = |reason| Context {
            spawn_member: self.spawn_member.clone(),
            detour: self.detour.clone(),
            faults: Err(reason),
            ..self.clone()
        };
        match faults {
            FaultLevel::All => self,
            FaultLevel::Client => without("--faults client: the broker's process is left alone"),
            FaultLevel::None => {
                let none = "--faults none";
                Context { spawn_member: Err(none), detour: Err(none), ..without(none) }
            }
        }
    }
}
