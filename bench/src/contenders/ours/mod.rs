//! anybroker, the same code on every broker.

mod batch;
mod natural;
mod one_by_one;

use anybroker::{Broker, PublisherOptions, SharedPublisher, Subscription};
use tokio::sync::OnceCell;

use crate::Result;
use crate::contender::{Contender, Kind};
use crate::task::Task;

/// The batch path: what a tuned loop uses.
pub(super) const BATCH: Contender = Contender {
    name: "anybroker, batches",
    kind: Kind::Ours,
    way: "enqueue 1,000 at a time, 8 batches on their way; receive(1,000) and settle the batch",
    publish: Some(|task| Box::pin(async move { Ok(Box::new(batch::Publishing::open(&task).await?) as _) })),
    consume: Some(|task| Box::pin(async move { Ok(Box::new(batch::Consuming::open(&task).await?) as _) })),
};

/// The natural code: a stream, and a worker's handler.
pub(super) const NATURAL: Contender = Contender {
    name: "anybroker, natural",
    kind: Kind::Ours,
    way: "publish_all(stream); a Worker's handler, 16 at once, with its deadline and retries",
    publish: Some(|task| Box::pin(async move { Ok(Box::new(natural::Publishing::open(&task).await?) as _) })),
    consume: Some(|task| Box::pin(async move { Ok(Box::new(natural::Consuming::open(&task).await?) as _) })),
};

/// The same where nothing is stored: a worker subscribes once it runs, and what is published before is lost.
pub(super) const NATURAL_PUBLISH: Contender = Contender { consume: None, ..NATURAL };

/// One message after the other.
pub(super) const ONE_BY_ONE: Contender = Contender {
    name: "anybroker, one by one",
    kind: Kind::Ours,
    way: "publish(message).await; next().await, ack().await",
    publish: Some(|task| {
        Box::pin(async move { Ok(Box::new(one_by_one::Publishing::open(&task).await?) as _) })
    }),
    consume: Some(|task| {
        Box::pin(async move { Ok(Box::new(one_by_one::Consuming::open(&task).await?) as _) })
    }),
};

/// One connection for all that a process opens, as a program has it.
async fn broker(task: &Task) -> Result<Broker> {
    static BROKER: OnceCell<Broker> = OnceCell::const_new();
    let connect = async || anybroker::connect(&task.url).await;
    Ok(BROKER.get_or_try_init(connect).await?.clone())
}

async fn publisher(task: &Task) -> Result<(Broker, SharedPublisher)> {
    let broker = broker(task).await?;
    let publisher = broker.publisher(PublisherOptions::new(task.topic()?)).await?;
    Ok((broker, publisher))
}

fn subscription(task: &Task) -> Result<Subscription> {
    Ok(Subscription::new(task.topic()?, task.group()?).prefetch(task.prefetch))
}
