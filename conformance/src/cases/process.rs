//! The broker's process stops while messages flow: it is paused, or killed.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Durability, Level as _};
use tokio::time::Instant;

use super::flow::{self, Load, Manners, Member, Progress};
use super::{CaseResult, Context, Failure, Finding};
use crate::properties::Property;

const MANNERS: Manners = Manners { nack: 3, release: 2, prefetch: 50 };
const LOAD: Load =
    Load { publishers: 3, messages: 1_000, keys: 40, batch: 5, pause: Duration::from_millis(15) };
const EXERCISED: [Property; 3] = [Property::P3, Property::P6, Property::P7];
/// In the middle of the stream.
const MIDDLE: usize = 500;

/// Longer than some of the clients' and the broker's own time-outs.
const PAUSED: Duration = Duration::from_secs(8);

pub(super) async fn broker_paused(context: Context) -> CaseResult {
    let faults = match context.faults.clone() {
        Ok(faults) => faults,
        Err(reason) => return Ok(Finding::NotApplicable(reason.into())),
    };
    let stage = context.stage("broker-paused", 1).await?;
    let progress = Arc::new(Progress::default());
    let members = [
        Member::join(&stage, 0, MANNERS, context.seed, &progress).await?,
        Member::join(&stage, 0, MANNERS, context.seed + 1, &progress).await?,
    ];
    let pause = async {
        progress.reaches(MIDDLE).await?;
        stage.recorder.fault("pause", &context.name);
        faults.pause().await?;
        tokio::time::sleep(PAUSED).await;
        faults.resume().await?;
        stage.recorder.fault("resume", &context.name);
        let resumed = Instant::now();
        progress.reaches(progress.confirmed_count() + MIDDLE).await?;
        Ok::<_, Failure>(resumed.elapsed())
    };
    let publish = async { Ok(flow::publish(&stage, LOAD, context.seed, &progress).await?) };
    let (again, ()) = tokio::try_join!(pause, publish)?;
    let found = flow::conclude(&stage, context.quiet, members, &progress, &EXERCISED).await?;
    Ok(found.and(format!("{MIDDLE} more confirmed {:.1} s after the pause", again.as_secs_f64())))
}

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
    let members = [
        Member::join(&stage, 0, MANNERS, context.seed, &progress).await?,
        Member::join(&stage, 0, MANNERS, context.seed + 1, &progress).await?,
    ];
    let crash = async {
        progress.reaches(MIDDLE).await?;
        stage.recorder.fault("kill", &context.name);
        faults.kill().await?;
        faults.restart().await?;
        stage.recorder.fault("restart", &context.name);
        Ok::<_, Failure>(())
    };
    let publish = async { Ok(flow::publish(&stage, LOAD, context.seed, &progress).await?) };
    tokio::try_join!(crash, publish)?;
    flow::conclude(&stage, context.quiet, members, &progress, &EXERCISED).await
}
