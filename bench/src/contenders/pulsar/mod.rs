//! Pulsar by hand: the `pulsar` crate.

mod consuming;
mod naive;
mod publishing;

use anybroker::BrokerUrl;
use pulsar::consumer::InitialPosition;
use pulsar::{Consumer, ConsumerOptions, Pulsar, SubType, TokioExecutor};

use crate::Result;
use crate::contender::{Contender, Kind};
use crate::task::Task;
use consuming::Way;
use publishing::Entries;

/// The same for all.
pub(super) const SETTINGS: &str = "a partitioned topic, as anybroker declares it; the key says the partition; at most 10,000 messages without a receipt; \
     hand-written code connects without a login, uses one connection, and says no ids where it does not say so; acknowledgements are sent, \
     and the last is followed by a question on the same connection, whose answer is awaited; mq-bridge knows no Pulsar, and ruststream-pulsar \
     can't be in one program with anybroker: it asks for another TLS of the `pulsar` crate, which takes one";

/// The client library in each of its ways.
pub(super) const RAW: &[Contender] = &[
    Contender {
        name: "naive loop",
        kind: Kind::Naive,
        way: "send, its receipt awaited; Key_Shared, a queue of one, each message acknowledged",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(naive::Publishing::open(&task).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(consuming::Consuming::open(&task, Way::NAIVE).await?) as _) })
        }),
    },
    Contender {
        name: "an entry each",
        kind: Kind::Raw,
        way: "send_non_blocking, receipts awaited in order",
        publish: Some(|task| {
            Box::pin(
                async move { Ok(Box::new(publishing::Publishing::open(&task, Entries::EACH).await?) as _) },
            )
        }),
        consume: None,
    },
    Contender {
        name: "an entry each, ids / ack each",
        kind: Kind::Equal,
        way: "the same, and each message says its id in a property, as anybroker's do; Key_Shared, each message acknowledged",
        publish: Some(|task| {
            Box::pin(
                async move { Ok(Box::new(publishing::Publishing::open(&task, Entries::IDS).await?) as _) },
            )
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(consuming::Consuming::open(&task, Way::EACH).await?) as _) })
        }),
    },
    Contender {
        name: "batched entries / ack all",
        kind: Kind::Raw,
        way: "the producer's batches of 200 messages; Failover, every 200th message acknowledged with all before it. \
              Not the same: a Key_Shared group can't be given a batch by keys, and takes no such acknowledgements",
        publish: Some(|task| {
            Box::pin(async move {
                Ok(Box::new(publishing::Publishing::open(&task, Entries::BATCHED).await?) as _)
            })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(consuming::Consuming::open(&task, Way::ALL).await?) as _) })
        }),
    },
];

async fn client(task: &Task) -> Result<Pulsar<TokioExecutor>> {
    let url: BrokerUrl = task.url.parse()?;
    let address = url.addresses(6650).into_iter().next().ok_or("the URL names no host")?;
    Ok(Pulsar::builder(format!("{}://{address}", url.scheme), TokioExecutor).build().await?)
}

/// The topic's name in full.
fn topic(task: &Task) -> Result<String> {
    let url: BrokerUrl = task.url.parse()?;
    let namespace = url.path.unwrap_or_else(|| "public/default".to_owned());
    Ok(format!("persistent://{}/{}", namespace.trim_end_matches('/'), task.topic))
}

/// A consumer of all partitions, with so many messages in its queues.
async fn consumer(task: &Task, kind: SubType, queue: usize) -> Result<Consumer<Vec<u8>, TokioExecutor>> {
    let share = (queue / task.partitions.max(1) as usize).max(1);
    let options = ConsumerOptions::default().with_initial_position(InitialPosition::Earliest);
    let consumer = client(task).await?.consumer().with_topic(topic(task)?).with_subscription(&task.group);
    Ok(consumer
        .with_subscription_type(kind)
        .with_batch_size(share as u32)
        .with_options(options)
        .build()
        .await?)
}
