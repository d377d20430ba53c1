//! The small steps of which cases are made.

use std::time::Duration;

use anybroker_core::{Consumer, Delivery, Message, Outcome, Publisher, PublisherExt as _, Subscription};

use super::flow::{self, next};
use super::{CaseResult, Failure, Finding, Stage, ensure, step};
use crate::properties::Property;

/// Messages `PREFIX0`, `PREFIX1`, … whose keys take turns.
pub(super) fn numbered(prefix: &str, count: usize, keys: usize) -> Vec<Message> {
    let message = |at: usize| {
        Message::new(format!("{prefix}{at}"))
            .with_id(format!("{prefix}{at}"))
            .with_key(format!("k{}", at % keys.max(1)))
    };
    (0..count).map(message).collect()
}

/// Publishes in one call, every message confirmed, and closes.
pub(super) async fn publish(stage: &Stage, messages: Vec<Message>) -> Result<(), Failure> {
    let publisher = stage.publisher().await?;
    all_confirmed(batch(&*publisher, messages).await?)?;
    step("close", publisher.close()).await
}

/// Publishes in one call.
pub(super) async fn batch(
    publisher: &dyn Publisher,
    messages: Vec<Message>,
) -> Result<Vec<Outcome>, Failure> {
    step("publish", async { Ok(publisher.publish_batch(messages).await) }).await
}

pub(super) fn all_confirmed(outcomes: Vec<Outcome>) -> Result<(), Failure> {
    outcomes.into_iter().try_for_each(|outcome| Ok(outcome.map(|_| ())?))
}

/// A member of the first group.
pub(super) async fn open(stage: &Stage) -> Result<Box<dyn Consumer>, Failure> {
    open_as(stage, stage.subscription(0)).await
}

pub(super) async fn open_as(stage: &Stage, subscription: Subscription) -> Result<Box<dyn Consumer>, Failure> {
    step("open", stage.recorded.consumer(subscription)).await
}

/// Receives this many, whatever batches they come in.
pub(super) async fn take(consumer: &mut Box<dyn Consumer>, count: usize) -> Result<Vec<Delivery>, Failure> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let more = consumer.receive(count - taken.len());
        taken.extend(step(&format!("receive {count}, of which {} came", taken.len()), more).await?);
    }
    Ok(taken)
}

/// Receives this many, and acknowledges them; says in which order they came.
pub(super) async fn take_and_ack(
    consumer: &mut Box<dyn Consumer>,
    count: usize,
) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let delivery = next(consumer).await?;
        ids.push(id(&delivery));
        ack(delivery).await?;
    }
    Ok(ids)
}

pub(super) async fn ack(delivery: Delivery) -> Result<(), Failure> {
    step("acknowledge", async { Ok(delivery.ack().await?) }).await.map(|_| ())
}

pub(super) fn id(delivery: &Delivery) -> String {
    delivery.id().map(|id| id.to_string()).unwrap_or_default()
}

/// Whatever still comes, until nothing has for that long.
pub(super) async fn rest(
    consumer: &mut Box<dyn Consumer>,
    quiet: Duration,
) -> Result<Vec<Delivery>, Failure> {
    let mut more = Vec::new();
    while let Ok(batch) = tokio::time::timeout(quiet, consumer.receive(100)).await {
        more.extend(batch?);
    }
    Ok(more)
}

/// For so long nothing comes.
pub(super) async fn nothing_comes(consumer: &mut Box<dyn Consumer>, quiet: Duration) -> Result<(), Failure> {
    let more: Vec<_> = rest(consumer, quiet).await?.iter().map(id).collect();
    ensure(more.is_empty(), || format!("nothing more was to come, and {more:?} did"))
}

/// Ends a case in which every message has come: holds the history to its promises, and deletes the topic.
pub(super) async fn hold(stage: &Stage, exercised: &[Property], text: impl Into<String>) -> CaseResult {
    let evidence = flow::drained(stage, exercised)?;
    stage.tidy().await?;
    Ok(Finding::Holds(text.into()).and(evidence.join(", ")))
}
