//! Reading again what was acknowledged, and what was published before a group was there.

use anybroker_core::{Group, Kind, Level as _, Replay, Start, Subscription, Topology};

use super::steps::{hold, numbered, open, open_as, publish, take_and_ack};
use super::{CaseResult, Context, Finding, Stage, ensure, step};
use crate::history::{Drained, Event, Promises};
use crate::properties::Property;

const COUNT: usize = 60;

fn no_replay(stage: &Stage) -> bool {
    !stage.guarantees.replay.value.satisfies(Replay::Earliest)
}

/// The group starts again at the earliest message, and gets all that it had acknowledged; without replay the attempt is
/// refused.
pub(super) async fn read_again_from_the_earliest(context: Context) -> CaseResult {
    // What is read again counts anew.
    let anew = |promises| Promises { p9: None, ..promises };
    let stage = context.stage_held_to("again", 1, anew).await?;
    let from_the_earliest = stage.subscription(0).start(Start::Earliest);
    if no_replay(&stage) {
        let opened = step("open", async { Ok(stage.recorded.consumer(from_the_earliest).await) }).await?;
        let kind = opened.map_err(|error| error.kind()).err();
        ensure(kind == Some(Kind::Unsupported), || {
            format!("replay = none, and reading again gave {kind:?}")
        })?;
        stage.tidy().await?;
        return Ok(Finding::NotPromised("replay = none: refused".into()));
    }
    publish(&stage, numbered("m", COUNT, 6)).await?;
    let mut consumer = open(&stage).await?;
    let mut first = take_and_ack(&mut consumer, COUNT).await?;
    step("close", consumer.close()).await?;
    let mut consumer = open_as(&stage, from_the_earliest).await?;
    let mut again = take_and_ack(&mut consumer, COUNT).await?;
    step("close", consumer.close()).await?;
    first.sort_unstable();
    again.sort_unstable();
    ensure(first == again, || format!("read first: {first:?}\nread again: {again:?}"))?;
    hold(&stage, &[Property::P3, Property::P3p, Property::P16], format!("{COUNT} twice, the same")).await
}

/// A group that is declared late gets what was published before.
pub(super) async fn late_group_reads_the_history(context: Context) -> CaseResult {
    let stage = context.stage("late", 1).await?;
    if no_replay(&stage) {
        return Ok(Finding::NotPromised("replay = none".into()));
    }
    let mut consumer = open(&stage).await?;
    publish(&stage, numbered("m", COUNT, 6)).await?;
    take_and_ack(&mut consumer, COUNT).await?;
    step("close", consumer.close()).await?;
    let late = Group::new("late")?;
    let topology = Topology::new(stage.topic.clone()).group(late.clone());
    step("declare", stage.broker.admin().declare(&topology)).await?;
    let mut consumer = open_as(&stage, Subscription::new(stage.topic.clone(), late.clone())).await?;
    let mut came = take_and_ack(&mut consumer, COUNT).await?;
    came.sort_unstable();
    came.dedup();
    ensure(came.len() == COUNT, || {
        format!("{COUNT} deliveries to the late group, of {} messages", came.len())
    })?;
    step("close", consumer.close()).await?;
    let drained = Drained { group: late.as_str().into(), topic: stage.topic.as_str().into() };
    stage.recorder.record(&Event::Drained(drained));
    let exercised = [Property::P3, Property::P3p, Property::P7, Property::P16];
    hold(&stage, &exercised, format!("{COUNT} from before it was there")).await
}
