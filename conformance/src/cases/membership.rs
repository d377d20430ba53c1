//! Members join, leave and are killed while messages flow; so are publishers.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Guarantees, Lease};

use super::flow::{self, Chance, Member, Progress};
use super::member::{MemberProcess, Role};
use super::stream::{self, EXERCISED, Moments};
use super::{CaseResult, Context, Failure, Finding};
use crate::history::Promises;

pub(super) async fn members_join_and_leave(context: Context) -> CaseResult {
    let stage = context.stage("membership", 1).await?;
    let progress = Arc::new(Progress::default());
    let join = |number| {
        Member::join_by(&stage.recorded, &stage, 0, stream::work(&stage), context.seed + number, &progress)
    };
    let mut moments = Moments { stage: &stage, progress: &progress, chance: Chance::new(context.seed) };
    let comings_and_goings = async {
        let first = join(0).await?;
        moments.pass().await?;
        let second = join(1).await?;
        moments.pass().await?;
        let third = join(2).await?;
        moments.pass().await?;
        first.leave().await?;
        moments.pass().await?;
        second.leave().await?;
        let fourth = join(3).await?;
        moments.pass().await?;
        Ok::<_, Failure>([third, fourth])
    };
    let stayed = stream::publish_while(&stage, context.seed, &progress, comings_and_goings).await?;
    stream::heal(&stage, &progress).await?;
    flow::conclude(&stage, context.quiet, stayed, &progress, &EXERCISED).await
}

/// Longer than a member may be silent before it counts as dead.
const PAUSED: Duration = Duration::from_secs(10);

/// A member process stops in the middle of its work for longer than it may, and then goes on as if it had not.
pub(super) async fn member_paused(context: Context) -> CaseResult {
    let spawn = match context.spawn_member.clone() {
        Ok(spawn) => spawn,
        Err(reason) => return Ok(Finding::NotApplicable(reason.into())),
    };
    let stage = context.stage_promising("member-paused", 1, stopped).await?;
    let progress = Arc::new(Progress::default());
    let mut chance = Chance::new(context.seed);
    let pause = async {
        let who = ("process", Role::Member(stream::WORK.manners.prefetch));
        let mut process = MemberProcess::start(&spawn, &stage, who, context.seed, &progress)?;
        process.works(50 + chance.below(100) as usize).await?;
        let other =
            Member::join_by(&stage.recorded, &stage, 0, stream::work(&stage), context.seed, &progress)
                .await?;
        process.pause(&stage).await?;
        let before = progress.acknowledged_count(&stage.groups[0]);
        tokio::time::sleep(PAUSED).await;
        let meanwhile = progress.acknowledged_count(&stage.groups[0]) - before;
        process.resume(&stage)?;
        // It works on, or has nothing left to do.
        let more = process.acknowledged_so_far() + 20 + chance.below(60) as usize;
        let _ = tokio::time::timeout(MOMENT, process.acknowledged(more)).await;
        process.kill(&stage).await?;
        Ok::<_, Failure>((other, meanwhile))
    };
    let (other, meanwhile) = stream::publish_while(&stage, context.seed, &progress, pause).await?;
    stream::heal(&stage, &progress).await?;
    let found = flow::conclude(&stage, context.quiet, [other], &progress, &EXERCISED).await?;
    Ok(found.and(format!("{meanwhile} acknowledged by the other member meanwhile")))
}

/// What a stopped member hands out once it goes on was sent to it before others got it, which no history shows: neither the
/// mark of a redelivery nor what comes after an acknowledgement can be judged.
fn stopped(given: &Guarantees, promises: Promises) -> Promises {
    silent(given, Promises { p6b: None, p9: None, ..promises })
}

/// Where a broker lends for a time, that time begins when it sends. A member that was silent takes what it then reads for
/// just sent: it holds it together with whoever has it by now (P8), and loses it sooner than it knows (P6).
pub(super) fn silent(given: &Guarantees, promises: Promises) -> Promises {
    match given.lease.value {
        Lease::Session => promises,
        Lease::Fixed | Lease::Extendable => Promises { p6: None, p8: None, ..promises },
    }
}

/// How long it is given to go on working while others leave or stop.
const MOMENT: Duration = Duration::from_secs(3);

const KILLS: u64 = 2;

pub(super) async fn member_killed(context: Context) -> CaseResult {
    let spawn = match context.spawn_member.clone() {
        Ok(spawn) => spawn,
        Err(reason) => return Ok(Finding::NotApplicable(reason.into())),
    };
    let stage = context.stage("member-killed", 1).await?;
    let progress = Arc::new(Progress::default());
    let mut chance = Chance::new(context.seed);
    let killings = async {
        let mut stayed = Vec::new();
        for number in 0..KILLS {
            let name = format!("process-{number}");
            let who = (name.as_str(), Role::Member(stream::WORK.manners.prefetch));
            let mut process = MemberProcess::start(&spawn, &stage, who, context.seed, &progress)?;
            let count = 50 + chance.below(150) as usize;
            if number == 0 {
                process.works(count).await?;
            } else {
                // It may only wait, where one member at a time is active.
                let _ = tokio::time::timeout(2 * MOMENT, process.acknowledged(count)).await;
            }
            stayed.push(
                Member::join_by(
                    &stage.recorded,
                    &stage,
                    0,
                    stream::work(&stage),
                    context.seed + number,
                    &progress,
                )
                .await?,
            );
            // Killed once it works beside the other, or has nothing left to do.
            let _ = tokio::time::timeout(MOMENT, process.acknowledged(count + 50)).await;
            process.kill(&stage).await?;
        }
        Ok::<_, Failure>(stayed)
    };
    let stayed = stream::publish_while(&stage, context.seed, &progress, killings).await?;
    stream::heal(&stage, &progress).await?;
    let found = flow::conclude(&stage, context.quiet, stayed, &progress, &EXERCISED).await?;
    Ok(found.and(format!("killed {KILLS} processes")))
}

/// Publishing processes are killed in the middle of it, one after the other: what was confirmed to them is kept, and what
/// was not is there or not.
pub(super) async fn publisher_killed(context: Context) -> CaseResult {
    let spawn = match context.spawn_member.clone() {
        Ok(spawn) => spawn,
        Err(reason) => return Ok(Finding::NotApplicable(reason.into())),
    };
    let stage = context.stage("publisher-killed", 1).await?;
    let progress = Arc::new(Progress::default());
    let members = stream::two_members(&stage.recorded, &stage, context.seed, &progress).await?;
    let mut moments = Moments { stage: &stage, progress: &progress, chance: Chance::new(context.seed) };
    for number in 0..KILLS {
        let name = format!("publisher-{number}");
        let role = Role::Publisher(10 * (1 + number as usize));
        let process = MemberProcess::start(&spawn, &stage, (&name, role), context.seed + number, &progress)?;
        moments.pass().await?;
        process.kill(&stage).await?;
    }
    stream::heal(&stage, &progress).await?;
    let found = flow::conclude(&stage, context.quiet, members, &progress, &EXERCISED).await?;
    Ok(found.and(format!("killed {KILLS} publishing processes")))
}
