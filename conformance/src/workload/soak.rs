//! A soak: every case once, then rounds of large random workloads with faults, for as long and for as many messages as asked.
//!
//! Each round is one workload on a topic of its own. Its history is checked when it ends, and dropped: what stays is what it
//! showed. After each round that is written to a file, from which a soak that was interrupted goes on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Shape, judge, seed_of};
use crate::cases::{Context, random};
use crate::run::{self, CaseReport, CaseVerdict, Evidence, PropertyVerdict, RunReport};
use crate::subject::Subject;

/// The value of `format` in the file.
const VERSION: &str = "anybroker-soak/1";

/// How long a round may take before it counts as hung.
const ROUND: Duration = Duration::from_secs(900);

/// After so many rounds in a row that failed, there is nothing more to learn.
const GIVEN_UP: usize = 3;

/// How long, and with what.
#[derive(Clone, Debug)]
pub struct SoakOptions {
    /// At least so long.
    pub time: Duration,
    /// At least so many messages published.
    pub messages: u64,
    /// The faults allowed, and the seed of the first round.
    pub run: run::Options,
    /// The file that is written after each round.
    pub state: Option<PathBuf>,
    /// Goes on from what that file says.
    pub resume: bool,
}

/// Where a soak stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The configuration's name.
    pub configuration: String,
    /// Rounds that are done.
    pub rounds: u64,
    /// Messages published.
    pub messages: u64,
    /// How many are asked for.
    pub of_messages: u64,
    /// How long it has run.
    pub seconds: f64,
    /// How long it is to.
    pub of_seconds: f64,
    /// Faults injected.
    pub faults: u64,
    /// Publishes whose outcome stayed unknown.
    pub unknown: u64,
    /// Properties that were found broken.
    pub broken: Vec<String>,
    /// The last round.
    pub last: CaseReport,
}

/// Hears how a soak goes on, and how the cases at its begin do.
pub trait SoakProgress: run::Progress {
    /// A round has ended.
    fn round(&self, standing: &Standing);
}

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    format: String,
    rounds: u64,
    seconds: f64,
    report: RunReport,
}

/// Runs every case, unless that was done before, and then rounds, at least one, until both the time and the messages are
/// reached, `stop` is set, or several rounds in a row have failed; the round that runs then is finished. What cases and
/// rounds showed is one report.
///
/// # Errors
/// The state cannot be read or written, or belongs to another configuration.
///
/// # Cancel safety
/// A cancelled soak has written the state of the last round that ended; it may leave a topic behind, and the broker paused
/// or killed: see [`run::restore`].
pub async fn soak(
    subject: &Subject,
    options: &SoakOptions,
    progress: &dyn SoakProgress,
    stop: &AtomicBool,
) -> io::Result<RunReport> {
    let before = match (&options.state, options.resume) {
        (Some(path), true) => State::read(path, subject)?,
        _ => None,
    };
    let run =
        run::Options { seed: before.as_ref().map_or(options.run.seed, |it| it.report.seed), ..options.run };
    let evidence = before.as_ref().map_or_else(Evidence::default, |state| Evidence::from(&state.report));
    let mut state = State {
        format: VERSION.to_owned(),
        rounds: before.as_ref().map_or(0, |state| state.rounds),
        seconds: before.as_ref().map_or(0.0, |state| state.seconds),
        report: evidence.report(subject, &run).await,
    };
    let (began, earlier) = (Instant::now(), state.seconds);
    if before.is_none() {
        run::cases(subject, &run, progress, &evidence).await;
        state.seconds = began.elapsed().as_secs_f64();
        state.report = evidence.report(subject, &run).await;
        state.keep(options)?;
    }
    let mut failed = 0;
    while !state.done(options) && !stop.load(Ordering::Relaxed) && failed < GIVEN_UP {
        let round = round(subject, &run, &evidence, state.rounds).await;
        failed = if round.verdict == CaseVerdict::Failed { failed + 1 } else { 0 };
        evidence.case(round.clone());
        state.rounds += 1;
        state.seconds = earlier + began.elapsed().as_secs_f64();
        state.report = evidence.report(subject, &run).await;
        state.keep(options)?;
        progress.round(&state.standing(options, round));
    }
    Ok(state.report)
}

/// One workload. Its case is named by its number, and its seed finds it again as a first round.
async fn round(subject: &Subject, options: &run::Options, evidence: &Evidence, number: u64) -> CaseReport {
    let (began, name) = (Instant::now(), random::round(number));
    let seed = seed_of(options.seed, number);
    let histories = evidence.histories();
    let context = Context { seed, ..subject.context(options, histories.clone()) };
    let ended = tokio::time::timeout(ROUND, one(&context, seed)).await;
    let (verdict, text) = match ended {
        Ok(Ok(text)) => (CaseVerdict::Holds, text),
        Ok(Err(text)) => (CaseVerdict::Failed, text),
        Err(_) => (CaseVerdict::Failed, format!("hangs; given up after {ROUND:?}")),
    };
    evidence.conclude(&name, histories);
    let mut report = CaseReport { name, verdict, text, seconds: began.elapsed().as_secs_f64(), seed };
    if verdict == CaseVerdict::Failed
        && let Err(error) = run::restore(subject).await
    {
        report.text = format!("{}; {error}", report.text);
    }
    report
}

async fn one(context: &Context, seed: u64) -> Result<String, String> {
    let possible = random::possible(context).await.map_err(|e| e.to_string())?;
    let workload = Shape::large(possible).workload(seed);
    match judge(context, &workload).await {
        Ok(judged) => Ok(judged.to_string()),
        Err(broken) => Err(format!("{}\n{}", broken.text, broken.keep(&context.name, seed))),
    }
}

impl State {
    fn done(&self, options: &SoakOptions) -> bool {
        let enough = self.report.published >= options.messages;
        self.rounds > 0 && self.seconds >= options.time.as_secs_f64() && enough
    }

    fn read(path: &Path, subject: &Subject) -> io::Result<Option<Self>> {
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let state: State =
            serde_json::from_slice(&text).map_err(|e| invalid(format!("{}: {e}", path.display())))?;
        let (theirs, ours) = (&state.report.configuration, &subject.name);
        if state.format != VERSION || theirs != ours {
            let format = &state.format;
            return Err(invalid(format!(
                "{}: it is of {theirs} in {format}, and this is {ours} in {VERSION}; delete it, or name another",
                path.display()
            )));
        }
        Ok(Some(state))
    }

    /// Written beside and renamed: what is there is always whole.
    fn keep(&self, options: &SoakOptions) -> io::Result<()> {
        let Some(path) = &options.state else { return Ok(()) };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let beside = path.with_extension("new");
        std::fs::write(&beside, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(beside, path)
    }

    fn standing(&self, options: &SoakOptions, last: CaseReport) -> Standing {
        let broken =
            self.report.properties.iter().filter(|(_, found)| found.verdict <= PropertyVerdict::Stalled);
        Standing {
            configuration: self.report.configuration.clone(),
            rounds: self.rounds,
            messages: self.report.published,
            of_messages: options.messages,
            seconds: self.seconds,
            of_seconds: options.time.as_secs_f64(),
            faults: self.report.fault_list.len() as u64,
            unknown: self.report.unknown_publishes,
            broken: broken.map(|(property, _)| property.to_string()).collect(),
            last,
        }
    }
}
