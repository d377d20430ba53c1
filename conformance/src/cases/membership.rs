//! Members join, leave and are killed while messages flow.

use std::sync::Arc;
use std::time::Duration;

use super::flow::{self, Load, Manners, Member, Progress};
use super::member::MemberProcess;
use super::{CaseResult, Context, Failure, Finding};
use crate::history::Promises;
use crate::properties::Property;

const MANNERS: Manners = Manners { nack: 3, release: 2, prefetch: 50 };

pub(super) async fn members_join_and_leave(context: Context) -> CaseResult {
    let stage = context.stage("membership", 1).await?;
    let progress = Arc::new(Progress::default());
    let load = Load { publishers: 3, messages: 500, keys: 40, batch: 5, pause: Duration::from_millis(20) };
    let join = |number: u64| Member::join(&stage, 0, MANNERS, context.seed + number, &progress);
    let comings_and_goings = async {
        let first = join(0).await?;
        progress.confirmed_at_least(100).await;
        let second = join(1).await?;
        progress.confirmed_at_least(400).await;
        let third = join(2).await?;
        progress.confirmed_at_least(700).await;
        first.leave().await?;
        progress.confirmed_at_least(1_000).await;
        second.leave().await?;
        let fourth = join(3).await?;
        Ok::<_, anybroker_core::Error>([third, fourth])
    };
    let published = flow::publish(&stage, load, context.seed, &progress);
    let (stayed, published) = tokio::join!(comings_and_goings, published);
    published?;
    let stayed = stayed?;
    flow::conclude(&stage, context.quiet, stayed, &progress, &[Property::P3, Property::P6, Property::P7])
        .await
}

/// Longer than a member may be silent before it counts as dead.
const PAUSED: Duration = Duration::from_secs(10);

/// A member process stops in the middle of its work for longer than it may, and then goes on as if it had not.
pub(super) async fn member_paused(context: Context) -> CaseResult {
    let spawn = match context.spawn_member.clone() {
        Ok(spawn) => spawn,
        Err(reason) => return Ok(Finding::NotApplicable(reason.into())),
    };
    let stage = context.stage_held_to("member-paused", 1, unmarked).await?;
    let progress = Arc::new(Progress::default());
    let load = Load { publishers: 2, messages: 1_200, keys: 40, batch: 5, pause: Duration::from_millis(30) };
    let pause = async {
        let mut process = MemberProcess::start(&spawn, &stage, "process", context.seed, &progress)?;
        let worked = tokio::time::timeout(WORKED, process.acknowledged(50)).await;
        worked.map_err(|_| format!("the member process acknowledged fewer than 50 within {WORKED:?}"))??;
        let other = Member::join(&stage, 0, MANNERS, context.seed, &progress).await?;
        process.pause(&stage).await?;
        let before = progress.acknowledged_count(&stage.groups[0]);
        tokio::time::sleep(PAUSED).await;
        let meanwhile = progress.acknowledged_count(&stage.groups[0]) - before;
        process.resume(&stage)?;
        // It works on, or has nothing left to do.
        let more = process.acknowledged_so_far() + 50;
        let _ = tokio::time::timeout(MOMENT, process.acknowledged(more)).await;
        process.kill(&stage).await?;
        Ok::<_, Failure>((other, meanwhile))
    };
    let publish = async { Ok(flow::publish(&stage, load, context.seed, &progress).await?) };
    let ((other, meanwhile), ()) = tokio::try_join!(pause, publish)?;
    let exercised = [Property::P3, Property::P6, Property::P7];
    let found = flow::conclude(&stage, context.quiet, [other], &progress, &exercised).await?;
    Ok(found.and(format!("{meanwhile} acknowledged by the other member meanwhile")))
}

/// What a stopped member hands out once it goes on was sent to it before others got it, which no history shows: neither the
/// mark of a redelivery nor what comes after an acknowledgement can be judged.
fn unmarked(promises: Promises) -> Promises {
    Promises { p6b: None, p9: None, ..promises }
}

/// How long a member process has for its part.
const WORKED: Duration = Duration::from_secs(60);
/// How long it is given to go on working while others leave or stop.
const MOMENT: Duration = Duration::from_secs(5);

pub(super) async fn member_killed(context: Context) -> CaseResult {
    let spawn = match context.spawn_member.clone() {
        Ok(spawn) => spawn,
        Err(reason) => return Ok(Finding::NotApplicable(reason.into())),
    };
    let stage = context.stage("member-killed", 1).await?;
    let progress = Arc::new(Progress::default());
    let load = Load { publishers: 2, messages: 800, keys: 40, batch: 5, pause: Duration::from_millis(10) };
    let killings = async {
        let mut stayed = Vec::new();
        for number in 0..2 {
            let name = format!("process-{number}");
            let mut process = MemberProcess::start(&spawn, &stage, &name, context.seed, &progress)?;
            // The first one must have worked; a later one may only wait, where one member at a time is active.
            let limit = if number == 0 { WORKED } else { WORKED / 3 };
            let worked = tokio::time::timeout(limit, process.acknowledged(150)).await;
            if number == 0 {
                worked
                    .map_err(|_| format!("the member process acknowledged nothing within {WORKED:?}"))??;
            }
            stayed.push(Member::join(&stage, 0, MANNERS, context.seed + number, &progress).await?);
            // Killed once it works beside the other, or has nothing left to do.
            let _ = tokio::time::timeout(MOMENT, process.acknowledged(200)).await;
            process.kill(&stage).await?;
        }
        Ok::<_, Failure>(stayed)
    };
    let (stayed, published) = tokio::join!(killings, flow::publish(&stage, load, context.seed, &progress));
    published?;
    let stayed = stayed?;
    flow::conclude(&stage, context.quiet, stayed, &progress, &[Property::P3, Property::P6, Property::P7])
        .await
}
