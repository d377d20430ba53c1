//! The broker's process stops while messages flow: it is paused, or killed.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Durability, Level as _};
use tokio::time::Instant;

use super::flow::{self, Chance, Progress};
use super::stream::{self, EXERCISED, Moments};
use super::{CaseResult, Context, Failure, Finding};

/// Longer than some of the clients' and the broker's own time-outs.
const PAUSED: Duration = Duration::from_secs(8);

pub(super) async fn broker_paused(context: Context) -> CaseResult {
    let faults = match context.faults.clone() {
        Ok(faults) => faults,
        Err(reason) => return Ok(Finding::NotApplicable(reason.into())),
    };
    let stage = context.stage("broker-paused", 1).await?;
    let progress = Arc::new(Progress::default());
    let members = stream::two_members(&stage.recorded, &stage, context.seed, &progress).await?;
    let mut moments = Moments { stage: &stage, progress: &progress, chance: Chance::new(context.seed) };
    let pause = async {
        moments.strike("pause", &context.name).await?;
        faults.pause().await?;
        tokio::time::sleep(PAUSED).await;
        faults.resume().await?;
        stage.recorder.fault("resume", &context.name);
        let resumed = Instant::now();
        moments.pass().await?;
        Ok::<_, Failure>(resumed.elapsed())
    };
    let again = stream::publish_while(&stage, context.seed, &progress, pause).await?;
    stream::heal(&stage, &progress).await?;
    let found = flow::conclude(&stage, context.quiet, members, &progress, &EXERCISED).await?;
    Ok(found.and(format!("messages flow again {:.1} s after the pause", again.as_secs_f64())))
}

const KILLS: usize = 2;

pub(super) async fn broker_killed_and_restarted(context: Context) -> CaseResult {
    if let Some(reason) = context.volatile {
        return Ok(Finding::NotApplicable(reason.into()));
    }
    let stage = context.stage("broker-killed", 1).await?;
    if !stage.guarantees.durability_on_confirm.value.satisfies(Durability::PageCache) {
        return Ok(Finding::NotPromised(
            "durability-on-confirm = memory: it ends with the broker's process".into(),
        ));
    }
    let faults = match context.faults.clone() {
        Ok(faults) => faults,
        Err(reason) => return Ok(Finding::NotApplicable(reason.into())),
    };
    let progress = Arc::new(Progress::default());
    let members = stream::two_members(&stage.recorded, &stage, context.seed, &progress).await?;
    let mut moments = Moments { stage: &stage, progress: &progress, chance: Chance::new(context.seed) };
    let crashes = async {
        for _ in 0..KILLS {
            moments.strike("kill", &context.name).await?;
            faults.kill().await?;
            faults.restart().await?;
            stage.recorder.fault("restart", &context.name);
        }
        Ok::<_, Failure>(())
    };
    stream::publish_while(&stage, context.seed, &progress, crashes).await?;
    stream::heal(&stage, &progress).await?;
    let found = flow::conclude(&stage, context.quiet, members, &progress, &EXERCISED).await?;
    Ok(found.and(format!("killed {KILLS} times")))
}
