//! What was confirmed is stored: it is there when every connection has been closed and opened again.

use anybroker_core::{Durability, Level as _, Message, PublisherExt as _, PublisherOptions};

use super::flow::{self, Progress, next};
use super::{CaseResult, Context, Stage, step};
use crate::properties::Property;

const MESSAGES: usize = 100;

pub(super) async fn confirmed_is_stored(context: Context) -> CaseResult {
    let stage = context.stage("stored", 1).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    let apart = stage.recorder.wrap(context.broker().await?);
    let publisher = step("open", apart.publisher(PublisherOptions::new(stage.topic.clone()))).await?;
    let message =
        |at| Message::new(format!("{at}")).with_id(format!("m{at}")).with_key(format!("k{}", at % 40));
    let messages = (0..MESSAGES).map(message).collect();
    for outcome in step("publish", async { Ok(publisher.publish_batch(messages).await) }).await? {
        outcome?;
    }
    step("close", publisher.close()).await?;
    step("close", apart.close()).await?;
    // An embedded broker in memory ends with its last connection.
    let outlives = stage.guarantees.durability_on_confirm.value.satisfies(Durability::PageCache);
    if outlives {
        step("close", stage.broker.close()).await?;
    }
    let broker = context.broker().await?;
    let stage = Stage { recorded: stage.recorder.wrap(broker.clone()), broker, ..stage };
    let mut consumer = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
    for _ in 0..MESSAGES {
        let delivery = next(&mut consumer).await?;
        step("acknowledge", async { Ok(delivery.ack().await?) }).await?;
    }
    step("close", consumer.close()).await?;
    let found = flow::judge(&stage, &Progress::default(), &[Property::P3, Property::P7])?;
    stage.tidy().await?;
    let which = if outlives { "every connection" } else { "the publisher's connection" };
    Ok(found.and(format!("{MESSAGES} confirmed, {which} closed, all there")))
}
