//! Connections and brokers break while handlers run: the workers go on by themselves.

use std::sync::Arc;

use anybroker_core::{Durability, Level as _};

use super::super::flow::{Chance, Progress};
use super::super::stream::{self, EXERCISED, Moments};
use super::super::{CaseResult, Context, Failure, Finding};
use super::team::Team;
use super::{WORK, conclude};

const CUTS: usize = 2;

/// Every connection of publishers and workers is reset, again and again.
pub(in crate::cases) async fn worker_connections_cut(context: Context) -> CaseResult {
    let (proxy, connect) = match &context.detour {
        Ok(detour) => detour().await?,
        Err(reason) => return Ok(Finding::NotApplicable((*reason).into())),
    };
    let context = Context { connect, ..context };
    let stage = context.handlers_stage("worker-cut").await?;
    let progress = Arc::new(Progress::default());
    let mut team = Team::new(&stage, context.seed, &progress);
    team.join(WORK).await?;
    team.join(WORK).await?;
    let mut moments = Moments { stage: &stage, progress: &progress, chance: Chance::new(context.seed) };
    let cuts = async {
        let mut broken = 0;
        for _ in 0..CUTS {
            broken += moments.cut(&proxy, &context.name).await?;
        }
        Ok::<_, Failure>(broken)
    };
    let broken = stream::publish_while(&stage, context.seed, &progress, cuts).await?;
    stream::heal(&stage, &progress).await?;
    let found = conclude(&stage, context.quiet, team, &progress, &EXERCISED).await?;
    Ok(found.and(format!("{broken} connections cut in {CUTS} cuts")))
}

/// The broker's process is killed in the middle of handlers, and comes back with its data.
pub(in crate::cases) async fn worker_broker_killed(context: Context) -> CaseResult {
    if let Some(reason) = context.volatile {
        return Ok(Finding::NotApplicable(reason.into()));
    }
    let stage = context.handlers_stage("worker-broker-killed").await?;
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
    let mut team = Team::new(&stage, context.seed, &progress);
    team.join(WORK).await?;
    team.join(WORK).await?;
    let mut moments = Moments { stage: &stage, progress: &progress, chance: Chance::new(context.seed) };
    let crash = async {
        moments.strike("kill", &context.name).await?;
        faults.kill().await?;
        faults.restart().await?;
        stage.recorder.fault("restart", &context.name);
        Ok::<_, Failure>(())
    };
    stream::publish_while(&stage, context.seed, &progress, crash).await?;
    stream::heal(&stage, &progress).await?;
    conclude(&stage, context.quiet, team, &progress, &EXERCISED).await
}
