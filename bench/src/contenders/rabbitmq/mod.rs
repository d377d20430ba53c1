//! RabbitMQ by hand: `lapin`.

mod at_once;
mod consuming;
mod naive;
mod outgoing;
mod window;

use anybroker::BrokerUrl;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties, Consumer};

use crate::Result;
use crate::contender::{Contender, Kind};
use crate::task::Task;
use consuming::Way;

/// The same for all.
pub(super) const SETTINGS: &str = "anybroker's own exchanges and quorum queues, one queue a partition with a single active \
     consumer; persistent, mandatory, confirmed, at most 10,000 messages unconfirmed; the routing key is the slot of the \
     message's key; hand-written publishers send no headers where they don't say so; the prefetch is shared out among \
     the queues; the last acknowledgement is followed by a question to each queue, whose answer is awaited: AMQP confirms none";

/// The client library in each of its ways.
pub(super) const RAW: &[Contender] = &[
    Contender {
        name: "naive loop",
        kind: Kind::Naive,
        way: "publish, its confirmation awaited; prefetch 1, each message acknowledged and that awaited",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(naive::Publishing::open(&task).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(naive::Consuming::open(&task).await?) as _) })
        }),
    },
    Contender {
        name: "sliding window / ack each",
        kind: Kind::Raw,
        way: "FuturesUnordered, each publish with its confirmation; a channel a queue, each message acknowledged, \
              those of a chunk at once",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(window::Publishing::open(&task).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(consuming::Consuming::open(&task, Way::EACH).await?) as _) })
        }),
    },
    Contender {
        name: "futures at once / ack multiple",
        kind: Kind::Raw,
        way: "500 publishes at once, confirmations awaited in order; a channel a queue, all up to every 200th message \
              acknowledged (every half prefetch, where that is less)",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(at_once::Publishing::open(&task, false).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(consuming::Consuming::open(&task, Way::ALL).await?) as _) })
        }),
    },
    Contender {
        name: "futures at once / ack multiple, ids",
        kind: Kind::Equal,
        way: "the same, and each message says its id and key in headers, as anybroker's do, which are looked at",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(at_once::Publishing::open(&task, true).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(consuming::Consuming::open(&task, Way::IDS).await?) as _) })
        }),
    },
];

/// The slots of a topic: messages of one key go by the same, and so to the same partition.
pub(super) const SLOTS: u32 = 256;
/// The most that wait for a confirmation: what anybroker's publisher has by default.
const WINDOW: usize = 10_000;

async fn connect(task: &Task) -> Result<Connection> {
    let url: BrokerUrl = task.url.parse()?;
    let tls = url.scheme == "amqps";
    let (host, port) = url.hosts.first().ok_or("the URL names no host")?;
    let password = url.password.as_ref().map_or("guest", |password| password.expose());
    let userinfo = AMQPUserInfo {
        username: url.user.clone().unwrap_or_else(|| "guest".to_owned()),
        password: password.to_owned(),
    };
    let uri = AMQPUri {
        scheme: if tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: port.unwrap_or(if tls { 5671 } else { 5672 }),
        },
        vhost: url.path.clone().unwrap_or_else(|| "/".to_owned()),
        query: AMQPQueryString::default(),
    };
    Ok(Connection::connect_uri(uri, ConnectionProperties::default()).await?)
}

/// The queues of the group's partitions.
pub(super) fn queues(task: &Task) -> impl Iterator<Item = ShortString> {
    let (topic, group) = (task.topic.clone(), task.group.clone());
    (0..task.partitions.max(1)).map(move |partition| format!("{topic}:{group}:{partition}").into())
}

async fn consumer(channel: &Channel, queue: ShortString, prefetch: usize) -> Result<Consumer> {
    let prefetch = prefetch.clamp(1, u16::MAX.into()) as u16;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    Ok(channel.basic_consume(queue, "".into(), options, none).await?)
}
