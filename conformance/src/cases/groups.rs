//! Members of a group share; groups each get everything.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{FanOut, Level as _, Subscription};

use super::flow::{self, Load, Manners, Member, Progress};
use super::{CaseResult, Context, Finding, ensure, step};
use crate::properties::Property;

const MANNERS: Manners = Manners { nack: 2, release: 2, prefetch: 100 };
const LOAD: Load = Load { publishers: 2, messages: 400, keys: 30, batch: 10, pause: Duration::ZERO };

pub(super) async fn members_share_and_groups_fan_out(context: Context) -> CaseResult {
    let promised = context.broker().await?.guarantees(None, None).await?.fan_out.value;
    if !promised.satisfies(FanOut::Emulated) {
        return Ok(Finding::NotPromised("fan-out = none".into()));
    }
    let stage = context.stage("fan-out", 3).await?;
    let progress = Arc::new(Progress::default());
    let mut members = Vec::new();
    for number in 0..6 {
        members
            .push(Member::join(&stage, number % 3, MANNERS, context.seed + number as u64, &progress).await?);
    }
    flow::publish(&stage, LOAD, context.seed, &progress).await?;
    flow::conclude(&stage, context.quiet, members, &progress, &[Property::P3, Property::P7]).await
}

pub(super) async fn backlog_before_the_first_member(context: Context) -> CaseResult {
    let stage = context.stage("backlog", 1).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    let progress = Arc::new(Progress::default());
    flow::publish(&stage, LOAD, context.seed, &progress).await?;
    let expected = (LOAD.publishers * LOAD.messages) as u64;
    let waiting = stage.broker.admin().backlog(&stage.topic, &stage.groups[0]).await?;
    ensure(waiting == expected, || format!("{expected} published, and a backlog of {waiting}"))?;
    let member = Member::join(&stage, 0, MANNERS, context.seed, &progress).await?;
    progress.finished(&stage.groups, context.quiet).await;
    member.leave().await?;
    let left = stage.broker.admin().backlog(&stage.topic, &stage.groups[0]).await?;
    ensure(left == 0, || format!("everything is acknowledged, and the backlog is {left}"))?;
    let found = flow::judge(&stage, &progress, &[Property::P3, Property::P7])?;
    nothing_is_left(&stage).await?;
    stage.tidy().await?;
    Ok(found)
}

/// A new member of the group gets nothing.
async fn nothing_is_left(stage: &super::Stage) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let subscription = Subscription::new(stage.topic.clone(), stage.groups[0].clone());
    let mut consumer = step("open", stage.broker.consumer(subscription)).await?;
    let quiet = tokio::time::timeout(Duration::from_secs(2), consumer.receive(10)).await;
    ensure(quiet.is_err(), || format!("after everything was acknowledged came {:?}", quiet))?;
    step("close", consumer.close()).await?;
    Ok(())
}
