//! Workers join, leave and are killed while their handlers run.

use std::sync::Arc;
use std::time::Duration;

use super::super::flow::{Chance, Progress};
use super::super::member::{MemberProcess, Role};
use super::super::stream::{self, EXERCISED, Moments};
use super::super::{CaseResult, Context, Finding};
use super::team::Team;
use super::{WORK, conclude};

pub(in crate::cases) async fn workers_join_and_leave(context: Context) -> CaseResult {
    let stage = context.handlers_stage("workers").await?;
    let progress = Arc::new(Progress::default());
    let mut team = Team::new(&stage, context.seed, &progress);
    let mut moments = Moments { stage: &stage, progress: &progress, chance: Chance::new(context.seed) };
    let comings_and_goings = async {
        team.join(WORK).await?;
        moments.pass().await?;
        team.join(WORK).await?;
        moments.pass().await?;
        team.leave_one().await?;
        team.join(WORK).await?;
        moments.pass().await
    };
    stream::publish_while(&stage, context.seed, &progress, comings_and_goings).await?;
    stream::heal(&stage, &progress).await?;
    conclude(&stage, context.quiet, team, &progress, &EXERCISED).await
}

/// How long a worker process is given to get something done: it may only wait, where one member at a time is active.
const WORKED: Duration = Duration::from_secs(3);

/// A process is killed in the middle of its handlers; what they had begun with is begun with again, and nothing before it.
pub(in crate::cases) async fn worker_killed(context: Context) -> CaseResult {
    let spawn = match context.spawn_member.clone() {
        Ok(spawn) => spawn,
        Err(reason) => return Ok(Finding::NotApplicable(reason.into())),
    };
    let stage = context.handlers_stage("worker-killed").await?;
    let progress = Arc::new(Progress::default());
    let mut team = Team::new(&stage, context.seed, &progress);
    let mut chance = Chance::new(context.seed);
    let killing = async {
        let who = ("process", Role::Worker(WORK));
        let mut process = MemberProcess::start(&spawn, &stage, who, context.seed, &progress)?;
        let count = 50 + chance.below(50) as usize;
        process.works(count).await?;
        team.join(WORK).await?;
        // Killed once it works beside the other, or has nothing left to do.
        let _ = tokio::time::timeout(WORKED, process.acknowledged(count + 50)).await;
        process.kill(&stage).await
    };
    stream::publish_while(&stage, context.seed, &progress, killing).await?;
    stream::heal(&stage, &progress).await?;
    conclude(&stage, context.quiet, team, &progress, &EXERCISED).await
}
