//! Tries to show what may happen where a promise is not made. Seen or not seen is a note: it fails nothing.

use std::time::Duration;

use anybroker_core::{
    Certainty, Consumer, Delivery, DeliveryLevel, Exclusivity, Kept, Level as _, Redelivery, Scope,
    Settlement,
};
use futures::future::try_join_all;
use tokio::time::Instant;

use super::flow::Chance;
use super::steps::{self, numbered, open, open_as, publish, take_and_ack};
use super::{CaseResult, Context, Failure, Finding, Stage, ensure, step};
use crate::history::{
    Drained, Event, Exclusive, LossPromise, Mark, Order, OrderScope, Promises, RedeliveryMark,
};
use crate::properties::{Property, Verdict};

/// What cannot be witnessed, because it is promised not to happen.
fn promised(row: String) -> CaseResult {
    Ok(Finding::NotApplicable(format!("{row}: promised not to happen")))
}

/// Says whether the history breaks the property that it is held to beside the promises, and none of these.
async fn note(stage: &Stage, witness: Property, row: String) -> CaseResult {
    let report = stage.recorder.check()?;
    let broken = |(property, finding): (&Property, &crate::properties::Finding)| {
        *property != witness && finding.verdict == Verdict::Violation
    };
    ensure(!report.properties.iter().any(broken), || report.to_string())?;
    let finding = &report.properties[&witness];
    let text = match finding.violations.first() {
        Some(violation) => format!("{row}; seen here: {}", violation.explanation),
        None => format!("{row}; not seen here, {} times it could have been", finding.opportunities),
    };
    stage.broker.admin().delete(&stage.topic).await?;
    Ok(Finding::Holds(text))
}

/// Published while nobody listens: is it lost?
pub(super) async fn witness_loss(context: Context) -> CaseResult {
    let lossless = |_: &_, promises| Promises { p3: Some(LossPromise::default()), ..promises };
    let stage = context.witness_stage("witness-loss", 1, lossless).await?;
    let delivery = stage.guarantees.delivery.value;
    if delivery.satisfies(DeliveryLevel::AtLeastOnce) {
        return promised(format!("delivery = {delivery}"));
    }
    publish(&stage, numbered("early", 20, 4)).await?;
    let mut consumer = open(&stage).await?;
    publish(&stage, numbered("late", 20, 4)).await?;
    take_and_ack(&mut consumer, 20).await?;
    steps::nothing_comes(&mut consumer, Duration::from_millis(300)).await?;
    step("close", consumer.close()).await?;
    let drained = Drained { group: stage.groups[0].as_str().into(), topic: stage.topic.as_str().into() };
    stage.recorder.record(&Event::Drained(drained));
    note(&stage, Property::P3, format!("delivery = {delivery}")).await
}

/// Members of different speed share the messages of a key: do they see them in order?
pub(super) async fn witness_order(context: Context) -> CaseResult {
    const COUNT: usize = 200;
    let ordered = |_: &_, promises| Promises { p7: Some(Order { scope: OrderScope::Key }), ..promises };
    let stage = context.witness_stage("witness-order", 1, ordered).await?;
    let (scope, across) = (stage.guarantees.ordering.value, stage.guarantees.order_across_consumers.value);
    if scope != Scope::None && across == Kept::Yes {
        return promised(format!("ordering = {scope}"));
    }
    let members =
        step("open", try_join_all((0..3).map(|_| stage.recorded.consumer(stage.subscription(0))))).await?;
    publish(&stage, numbered("m", COUNT, 4)).await?;
    let slow = |(number, consumer)| handle_slowly(consumer, context.seed.wrapping_add(number));
    try_join_all((0..).zip(members).map(slow)).await?;
    note(&stage, Property::P7, format!("ordering = {scope}, across consumers = {across}")).await
}

/// Takes one at a time, until nothing comes.
async fn handle_slowly(mut consumer: Box<dyn Consumer>, seed: u64) -> Result<(), Failure> {
    let mut chance = Chance::new(seed);
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(500), consumer.receive(1)).await {
        let batch = batch?;
        tokio::time::sleep(Duration::from_millis(chance.below(8))).await;
        consumer.settler().settle(batch.into_iter().map(Settlement::ack).collect()).await;
    }
    step("close", consumer.close()).await
}

/// A member holds what it got, past the time that its subscription gives it: does another get it meanwhile?
pub(super) async fn witness_two_holders(context: Context) -> CaseResult {
    const DRAIN: Duration = Duration::from_millis(200);
    const PATIENCE: Duration = Duration::from_secs(6);
    let exclusive = |_: &_, promises| {
        let exclusive = Exclusive { scope: OrderScope::Key, lease_ms: None };
        Promises { p8: Some(exclusive), ..promises }
    };
    let stage = context.witness_stage("witness-holders", 1, exclusive).await?;
    let exclusivity = stage.guarantees.exclusivity.value;
    if !matches!(exclusivity, Exclusivity::None | Exclusivity::Fenced) {
        return promised(format!("exclusivity = {exclusivity}"));
    }
    let mut one = open_as(&stage, stage.subscription(0).drain(DRAIN)).await?;
    let keeps = stage.keeps_nothing().is_none();
    let mut held = Vec::new();
    if keeps {
        publish(&stage, numbered("m", 48, 24)).await?;
        held.extend(steps::rest(&mut one, Duration::from_millis(500)).await?);
    }
    let mut other = open_as(&stage, stage.subscription(0).drain(DRAIN)).await?;
    if !keeps {
        publish(&stage, numbered("m", 48, 4)).await?;
    }
    let until = Instant::now() + PATIENCE;
    let (mut first, mut second) = (!held.is_empty(), false);
    while !(first && second) {
        let both = async {
            tokio::select! {
                batch = one.receive(10) => (batch, true),
                batch = other.receive(10) => (batch, false),
            }
        };
        let Ok((batch, from_one)) = tokio::time::timeout_at(until, both).await else { break };
        let batch: Vec<Delivery> = batch?;
        first |= from_one;
        second |= !from_one;
        held.extend(batch);
    }
    let noted = note(&stage, Property::P8, format!("exclusivity = {exclusivity}")).await;
    drop((one, other, held));
    noted
}

/// A member that has acknowledged everything ends as in a crash: does some of it come again?
pub(super) async fn witness_lost_acknowledgement(context: Context) -> CaseResult {
    const COUNT: usize = 40;
    let stage = context.witness_stage("witness-acks", 1, |_, promises| promises).await?;
    let settlement = stage.guarantees.settlement.value;
    if settlement.satisfies(Certainty::Confirmed) {
        return promised(format!("settlement = {settlement}"));
    }
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    publish(&stage, numbered("m", COUNT, COUNT)).await?;
    let mut consumer = open(&stage).await?;
    take_and_ack(&mut consumer, COUNT).await?;
    drop(consumer);
    let mut consumer = open(&stage).await?;
    let again = steps::rest(&mut consumer, Duration::from_secs(3)).await?;
    let count = again.len();
    for delivery in again {
        steps::ack(delivery).await?;
    }
    step("close", consumer.close()).await?;
    stage.tidy().await?;
    Ok(Finding::Holds(format!(
        "settlement = {settlement}; {count} of {COUNT} came again after a crash at once"
    )))
}

/// A member takes messages and ends as in a crash: can the next one tell that they come again?
pub(super) async fn witness_unmarked_redelivery(context: Context) -> CaseResult {
    let marked = |_: &_, promises| Promises { p9: Some(RedeliveryMark { mark: Mark::Flag }), ..promises };
    let stage = context.witness_stage("witness-mark", 1, marked).await?;
    let redelivery = stage.guarantees.redelivery.value;
    if redelivery.satisfies(Redelivery::Flag) {
        return promised(format!("redelivery = {redelivery}"));
    }
    publish(&stage, numbered("m", 20, 20)).await?;
    let mut consumer = open(&stage).await?;
    let held = steps::rest(&mut consumer, Duration::from_millis(500)).await?;
    drop(consumer);
    drop(held);
    let mut consumer = open(&stage).await?;
    take_and_ack(&mut consumer, 20).await?;
    step("close", consumer.close()).await?;
    note(&stage, Property::P9, format!("redelivery = {redelivery}")).await
}
