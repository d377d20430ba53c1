//! Everything is closed at the same time.

use anybroker_core::{ConsumerExt as _, Kind, Message, PublisherExt as _, PublisherOptions};
use futures::future::join_all;

use super::steps::{hold, numbered, open, publish, take_and_ack};
use super::{CaseResult, Context, ensure, failed, step};
use crate::properties::Property;

/// Publishers, consumers and their connection are closed at the same time, some twice: each close returns, and what was
/// held is another's.
pub(super) async fn everything_closes_at_once(context: Context) -> CaseResult {
    const COUNT: usize = 40;
    let stage = context.stage("at-once", 1).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    let broker = stage.recorder.wrap(context.broker().await?);
    publish(&stage, numbered("m", COUNT, 8)).await?;
    let (mut publishers, mut consumers) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        publishers.push(step("open", broker.publisher(PublisherOptions::new(stage.topic.clone()))).await?);
        consumers.push(step("open", broker.consumer(stage.subscription(0))).await?);
    }
    // Somebody holds something.
    let held = step("receive", join_any(&mut consumers)).await?;
    let closing = async {
        let publishers = publishers.iter().flat_map(|publisher| [publisher.close(), publisher.close()]);
        let consumers = consumers.into_iter().map(|consumer| consumer.close());
        let brokers = [broker.close(), broker.close()];
        let (publishers, _, brokers) =
            tokio::join!(join_all(publishers), join_all(consumers), join_all(brokers));
        // A consumer that ends because its connection is closed may say so.
        publishers.into_iter().chain(brokers).collect::<anybroker_core::Result<Vec<_>>>()
    };
    step("close everything", closing).await?;
    drop(held);
    for publisher in &publishers {
        match step("publish", async { Ok(publisher.publish(Message::new("late")).await) }).await? {
            Err(refused) if refused.error().kind() == Kind::Closed => {}
            other => return failed(format!("publishing after everything was closed gave {other:?}")),
        }
    }
    let mut next = open(&stage).await?;
    let mut came = take_and_ack(&mut next, COUNT).await?;
    came.sort_unstable();
    came.dedup();
    ensure(came.len() == COUNT, || {
        format!("{COUNT} deliveries after the close, of {} messages", came.len())
    })?;
    step("close", next.close()).await?;
    hold(&stage, &[Property::P3], "eight closes of publishers, four of consumers, two of the broker").await
}

/// What any of them is given first.
async fn join_any(
    consumers: &mut [Box<dyn anybroker_core::Consumer>],
) -> anybroker_core::Result<anybroker_core::Delivery> {
    let next = consumers.iter_mut().map(|consumer| Box::pin(async move { consumer.next().await }));
    futures::future::select_all(next).await.0
}
