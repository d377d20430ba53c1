//! One run: a runtime of its own, whose time goes as fast as it can.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anybroker_memory::{Like, MemoryConfig, Schedule};
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::failure::Cause;
use crate::journal::Written;
use crate::panics;
use crate::run::Run;
use crate::verdict::Verdict;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// What every run has in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) like: Like,
    /// Of virtual time.
    pub(crate) time: Duration,
    pub(crate) steps: u64,
    /// Something takes real time.
    pub(crate) io: bool,
}

/// How a run ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) failed: Option<(Cause, String)>,
    /// What went wrong, by the chances that were taken.
    pub(crate) schedule: Schedule,
    /// Empty unless it was watched.
    pub(crate) written: Written,
}

/// Runs the body once.
pub(crate) fn attempt<B, F>(bounds: Bounds, schedule: &Schedule, watched: bool, body: &B) -> Ended
where
    B: Fn(Run) -> F,
    F: Future<Output: Verdict>,
{
    let config = MemoryConfig {
        // A broker of its own, also where the same seed runs elsewhere at the same time.
        name: format!("explored-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        like: Some(bounds.like),
        adversary: Some(schedule.clone()),
        ..MemoryConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return broken(format!("no runtime: {error}")),
    };
    let mut begun = None;
    let ended = panics::caught(|| {
        let local = LocalSet::new();
        let ended = runtime.block_on(local.run_until(async {
            let run = Run::new(config, watched);
            begun = Some(run.clone());
            let _clock = bounds.io.then(Clock::start);
            live(bounds, run, body).await
        }));
        drop(local);
        ended
    });
    let failed = ended.unwrap_or_else(|panic| Some((Cause::Broken, panic)));
    let Some(run) = begun else { return Ended { failed, ..Ended::default() } };
    // The journal reads the clock of the runtime.
    let written = runtime.block_on(async { run.journal().map(|journal| journal.written()) });
    let diary = run.adversary(|adversary| adversary.diary(0));
    let only = diary.into_iter().map(|done| done.chance).collect();
    let schedule = Schedule { seed: schedule.seed, only: Some(only) };
    Ended { failed, schedule, written: written.unwrap_or_default() }
}

fn broken(text: String) -> Ended {
    Ended { failed: Some((Cause::Broken, text)), ..Ended::default() }
}

async fn live<B, F>(bounds: Bounds, run: Run, body: &B) -> Option<(Cause, String)>
where
    B: Fn(Run) -> F,
    F: Future<Output: Verdict>,
{
    run.adversary(|adversary| adversary.limit_steps(bounds.steps));
    let seconds = bounds.time.as_secs_f64();
    let over = tokio::select! {
        biased;
        verdict = body(run.clone()) => return verdict.verdict().err().map(|text| (Cause::Broken, text)),
        () = run.exhausted() => format!("it has not ended after {} steps", bounds.steps),
        () = sleep(bounds.time) => format!("it has not ended after {seconds} s of virtual time"),
    };
    Some((Cause::Stuck, format!("{over}. {}", run.situation().await)))
}
