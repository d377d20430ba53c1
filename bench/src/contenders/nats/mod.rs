//! JetStream by hand: `async-nats`.

mod consuming;
mod naive;
mod own_inbox;
mod pipelined;

use anybroker::BrokerUrl;
use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, Context};

use crate::Result;
use crate::contender::{Contender, Kind};
use crate::task::Task;

/// The same for all.
pub(super) const SETTINGS: &str = "a stream in files, one replica, as anybroker declares it; at most 10,000 messages unconfirmed; \
     hand-written publishers name the subject of a partition, and send no headers where they don't say so; acknowledgements are sent and not confirmed, \
     but by the naive loop";

/// The client library in each of its ways.
pub(super) const RAW: &[Contender] = &[
    Contender {
        name: "naive loop",
        kind: Kind::Naive,
        way: "publish, its acknowledgement awaited; each message acknowledged with confirmation",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(naive::Publishing::open(&task).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(naive::Consuming::open(&task).await?) as _) })
        }),
    },
    Contender {
        name: "pipelined / ack each",
        kind: Kind::Raw,
        way: "the client's acknowledgement futures, 10,000 on their way; a pull consumer, each message acknowledged",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(pipelined::Publishing::open(&task).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(
                async move { Ok(Box::new(consuming::Consuming::open(&task, consuming::EACH).await?) as _) },
            )
        }),
    },
    Contender {
        name: "a consumer for each partition",
        kind: Kind::Equal,
        way: "each message acknowledged; a pull consumer for each partition, as several members need that keep the order",
        publish: None,
        consume: Some(|task| {
            Box::pin(async move {
                Ok(Box::new(consuming::Consuming::open(&task, consuming::BY_PARTITION).await?) as _)
            })
        }),
    },
    Contender {
        name: "own inbox / ack all",
        kind: Kind::Raw,
        way: "replies to one inbox, counted, 10,000 on their way; ack policy all, every 200th message acknowledged \
              (cumulative: no message can be acknowledged before an earlier one)",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(own_inbox::Publishing::open(&task, false).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(
                async move { Ok(Box::new(consuming::Consuming::open(&task, consuming::ALL).await?) as _) },
            )
        }),
    },
    Contender {
        name: "own inbox, with ids",
        kind: Kind::Equal,
        way: "as own inbox, and each message says its id and the stream that must take it, as anybroker's do",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(own_inbox::Publishing::open(&task, true).await?) as _) })
        }),
        consume: None,
    },
];

/// The most that wait for a confirmation: what anybroker's publisher has by default.
const WINDOW: usize = 10_000;

pub(super) async fn client(task: &Task) -> Result<Client> {
    let url: BrokerUrl = task.url.parse()?;
    let addresses = url.addresses(4222);
    let mut options = async_nats::ConnectOptions::new();
    if let (Some(user), Some(password)) = (&url.user, &url.password) {
        options = options.user_and_password(user.clone(), password.expose().to_owned());
    }
    let servers = addresses
        .iter()
        .map(|it| format!("nats://{it}").parse())
        .collect::<std::result::Result<Vec<async_nats::ServerAddr>, _>>()?;
    Ok(options.connect(servers).await?)
}

async fn context(task: &Task) -> Result<Context> {
    Ok(jetstream::new(client(task).await?))
}

/// The subjects of the topic's partitions.
pub(super) fn subjects(task: &Task) -> Vec<async_nats::Subject> {
    (0..task.partitions.max(1)).map(|partition| format!("{}.{partition}", task.topic).into()).collect()
}

/// A consumer, of the subject that `filter` says, if any.
async fn consumer(task: &Task, ack_policy: AckPolicy, filter: &str) -> Result<PullConsumer> {
    let name = match filter.rsplit_once('.') {
        Some((_, partition)) => format!("{}-{partition}", task.group),
        None => task.group.clone(),
    };
    let config = pull::Config {
        durable_name: Some(name),
        filter_subject: filter.to_owned(),
        ack_policy,
        max_ack_pending: task.prefetch as i64,
        ..Default::default()
    };
    Ok(context(task).await?.create_consumer_on_stream(config, &task.topic).await?)
}

/// The messages that the consumer of a hand-written client, or of another library, has not acknowledged.
pub(crate) async fn left(task: &Task) -> Result<u64> {
    let stream = context(task).await?.get_stream(&task.topic).await?;
    let consumer = stream.consumer_info(&task.group).await?;
    Ok(consumer.num_pending + consumer.num_ack_pending as u64)
}
