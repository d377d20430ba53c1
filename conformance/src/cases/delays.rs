//! What is put back with a delay does not come before it.

use std::collections::HashSet;
use std::time::Duration;

use anybroker_core::{Delay, Level as _, Message, PublisherExt as _};

use super::flow::{self, Chance, Progress, next};
use super::{CaseResult, Context, Finding, step};
use crate::properties::Property;

const MESSAGES: usize = 40;
/// In milliseconds.
const LONGEST: u64 = 900;

pub(super) async fn delays_are_floors(context: Context) -> CaseResult {
    let stage = context.stage("delays", 1).await?;
    if !stage.guarantees.delay.value.satisfies(Delay::Redelivery) {
        return Ok(Finding::NotPromised("delay = none".into()));
    }
    let mut consumer = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
    let publisher = stage.publisher().await?;
    let message = |at| Message::new(format!("{at}")).with_id(format!("m{at}")).with_key(format!("k{at}"));
    let messages = (0..MESSAGES).map(message).collect();
    for outcome in step("publish", async { Ok(publisher.publish_batch(messages).await) }).await? {
        outcome?;
    }
    step("close", publisher.close()).await?;
    let mut chance = Chance::new(context.seed);
    let (mut put_back, mut done) = (HashSet::new(), 0);
    while done < MESSAGES {
        let delivery = next(&mut consumer).await?;
        let id = delivery.id().map(|id| id.to_string()).unwrap_or_default();
        if put_back.insert(id) {
            let delay = Duration::from_millis(chance.below(LONGEST));
            step("nack", async { Ok(delivery.nack(delay).await?) }).await?;
        } else {
            step("acknowledge", async { Ok(delivery.ack().await?) }).await?;
            done += 1;
        }
    }
    step("close", consumer.close()).await?;
    let found = flow::judge(&stage, &Progress::default(), &[Property::P12])?;
    stage.tidy().await?;
    Ok(found.and(format!("{MESSAGES} delays of up to {LONGEST} ms")))
}
