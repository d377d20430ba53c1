//! What is published again is stored once, and what is new is not taken for it.

use std::collections::HashMap;
use std::time::Duration;

use anybroker_core::{
    Consumer, Deduplication, Level as _, Message, Outcome, Publisher, PublisherExt as _, PublisherOptions,
};

use super::flow::{self, Chance, Progress, next};
use super::{CaseResult, Context, Failure, Finding, Stage, ensure, step};
use crate::properties::Property;

const REPEATED: usize = 40;

/// Forty ids are published twice by different publishers on different connections: some at the same time, some after the first
/// one has been acknowledged.
pub(super) async fn deduplication_window(context: Context) -> CaseResult {
    let stage = context.stage("dedup", 1).await?;
    if !stage.guarantees.deduplication.value.satisfies(Deduplication::Window) {
        return Ok(Finding::NotPromised(format!("deduplication = {}", stage.guarantees.deduplication.value)));
    }
    let mut consumer = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
    let apart = stage.recorder.wrap(context.broker().await?);
    let other = step("open", apart.publisher(PublisherOptions::new(stage.topic.clone()))).await?;
    let one = stage.publisher().await?;
    let message =
        |at| Message::new(format!("{at}")).with_id(format!("twice-{at}")).with_key(format!("k{}", at % 8));
    let all: Vec<_> = (0..REPEATED).map(message).collect();
    // As chance has it, so many before the first ones are acknowledged.
    let early = 10 + Chance::new(context.seed).below(20) as usize;
    let (together, later) = all.split_at(early);
    let (first, second) = tokio::join!(publish(&*one, together), publish(&*other, together));
    let mut duplicates = duplicates(first?)? + duplicates(second?)?;
    duplicates += self::duplicates(publish(&*one, later).await?)?;
    let mut came = HashMap::new();
    take(&mut consumer, REPEATED, &mut came).await?;
    duplicates += self::duplicates(publish(&*other, later).await?)?;
    rest(&mut consumer, &mut came).await?;
    let twice: Vec<_> = came.iter().filter(|(_, times)| **times != 1).collect();
    ensure(twice.is_empty() && came.len() == REPEATED, || {
        format!("{} ids came, of which more than once {twice:?}", came.len())
    })?;
    step("close", consumer.close()).await?;
    step("close", one.close()).await?;
    step("close", other.close()).await?;
    apart.close().await?;
    let found = flow::judge(&stage, &Progress::default(), &[Property::P11])?;
    stage.tidy().await?;
    Ok(found.and(format!("{REPEATED} ids published twice, {duplicates} receipts say so")))
}

async fn publish(publisher: &dyn Publisher, messages: &[Message]) -> Result<Vec<Outcome>, Failure> {
    step("publish", async { Ok(publisher.publish_batch(messages.to_vec()).await) }).await
}

/// How many of these the broker called duplicates; all are to be confirmed.
fn duplicates(outcomes: Vec<Outcome>) -> Result<usize, Failure> {
    let mut duplicates = 0;
    for outcome in outcomes {
        duplicates += usize::from(outcome?.duplicate);
    }
    Ok(duplicates)
}

/// Takes and acknowledges this many, and counts them by their ids.
async fn take(
    consumer: &mut Box<dyn Consumer>,
    count: usize,
    came: &mut HashMap<String, usize>,
) -> Result<(), Failure> {
    for _ in 0..count {
        let delivery = next(consumer).await?;
        *came.entry(delivery.id().map(|id| id.to_string()).unwrap_or_default()).or_default() += 1;
        step("acknowledge", async { Ok(delivery.ack().await?) }).await?;
    }
    Ok(())
}

/// The same, of what still comes.
async fn rest(consumer: &mut Box<dyn Consumer>, came: &mut HashMap<String, usize>) -> Result<(), Failure> {
    while let Ok(batch) = tokio::time::timeout(Duration::from_secs(1), consumer.receive(10)).await {
        for delivery in batch? {
            *came.entry(delivery.id().map(|id| id.to_string()).unwrap_or_default()).or_default() += 1;
            step("acknowledge", async { Ok(delivery.ack().await?) }).await?;
        }
    }
    Ok(())
}

/// Ids that are nearly the same, of messages that are the same otherwise.
fn alike() -> Vec<String> {
    let long = "x".repeat(240);
    let uuid = "0198c2d4-7f00-7abc-8def-0123456789";
    let kinds = |at: usize| {
        [
            format!("order-{at:04}"),
            format!("{long}{at}"),
            // Differing by their last digits, and by case.
            format!("{uuid}{at:02x}"),
            format!("{}{at:02X}", uuid.to_uppercase()),
            format!("{at}-order"),
        ]
    };
    (0..200).flat_map(kinds).collect()
}

/// A thousand ids, each new: in one character, behind a long common beginning, in the case of a letter.
pub(super) async fn distinct_ids_are_kept(context: Context) -> CaseResult {
    let stage = context.stage("distinct", 1).await?;
    let promised = stage.guarantees.deduplication.value;
    if !promised.satisfies(Deduplication::ProducerSession) {
        return Ok(Finding::NotPromised(format!("deduplication = {promised}")));
    }
    let mut consumer = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
    let ids = alike();
    publish_alike(&stage, &ids).await?;
    let mut came = HashMap::new();
    let mut deliveries = 0;
    while came.len() < ids.len() {
        let batch = step("receive", consumer.receive(100)).await?;
        for delivery in &batch {
            came.insert(delivery.id().map(|id| id.to_string()).unwrap_or_default(), ());
        }
        deliveries += batch.len();
        let settlements = batch.into_iter().map(anybroker_core::Settlement::ack).collect();
        for settled in consumer.settler().settle(settlements).await {
            settled?;
        }
    }
    step("close", consumer.close()).await?;
    let window = promised.satisfies(Deduplication::Window);
    let exercised: &[Property] = if window { &[Property::P3, Property::P11b] } else { &[Property::P3] };
    let found = flow::judge(&stage, &Progress::default(), exercised)?;
    stage.tidy().await?;
    Ok(found.and(format!("{} ids, {deliveries} deliveries", ids.len())))
}

async fn publish_alike(stage: &Stage, ids: &[String]) -> Result<(), Failure> {
    let publisher = stage.publisher().await?;
    let message = |(at, id): (usize, &String)| {
        Message::new("the same").with_id(id.as_str()).with_key(format!("k{}", at % 40))
    };
    let messages: Vec<_> = ids.iter().enumerate().map(message).collect();
    duplicates(publish(&*publisher, &messages).await?)?;
    step("close", publisher.close()).await
}
