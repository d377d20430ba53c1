//! Consumers: what a group is on the server, one for each partition, checked or created.

use std::collections::BTreeMap;
use std::time::Duration;

use anybroker_core::{Error, Group, Kind, Result, TopologyMode};
use async_nats::jetstream::consumer::{AckPolicy, Config, Info};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::config::{Lanes, NatsConfig};
use crate::link::Link;
use crate::names::{consumer, group_of};
use crate::streams::{Found, nanos};

/// How long the server waits for an acknowledgement or a sign of progress before it delivers again.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(30);
/// How many messages of a partition may be unacknowledged, in relaxed lanes.
const MOST_PENDING: i64 = 10_000;

/// Where a group's consumers start when they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// The earliest that is kept.
    First,
    /// This place in the stream.
    Sequence(u64),
}

/// A group as it is.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) stream: String,
    pub(crate) group: Group,
    pub(crate) partitions: u32,
    pub(crate) lanes: Lanes,
    pub(crate) max_pending: i64,
    pub(crate) ack_wait: Duration,
    /// Whether somebody looked.
    pub(crate) probed: bool,
}

impl Layout {
    /// The consumer of one partition.
    pub(crate) fn consumer(&self, partition: u32) -> String {
        consumer(&self.group, partition)
    }
}

/// The consumer of that name, if there is one.
pub(crate) async fn info(
    link: &Link,
    operation: &'static str,
    stream: &str,
    name: &str,
) -> Result<Option<Info>> {
    match link.api(operation, &format!("CONSUMER.INFO.{stream}.{name}"), &Value::Null).await {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes sure of a group as the mode says.
pub(crate) async fn group(
    link: &Link,
    operation: &'static str,
    config: &NatsConfig,
    mode: TopologyMode,
    topic: &Found,
    group: &Group,
    from: From,
) -> Result<Layout> {
    let lanes = config.lanes.unwrap_or(Lanes::Relaxed);
    let mut layout = Layout {
        stream: topic.names.stream.clone(),
        group: group.clone(),
        partitions: topic.partitions,
        lanes,
        max_pending: most_pending(lanes),
        ack_wait: ACK_WAIT,
        probed: false,
    };
    if mode == TopologyMode::Ignore {
        return Ok(layout);
    }
    let names: Vec<_> = (0..topic.partitions).map(|partition| consumer(group, partition)).collect();
    let found =
        try_join_all(names.iter().map(|name| info(link, operation, &topic.names.stream, name))).await?;
    if found.iter().any(Option::is_none) && mode == TopologyMode::Check {
        return Err(missing(operation, topic, group));
    }
    if let Some(existing) = found.iter().flatten().next() {
        layout.lanes = lanes_of(&existing.config);
        layout.max_pending = existing.config.max_ack_pending;
        layout.ack_wait = existing.config.ack_wait;
    }
    let absent = (0..).zip(&found).filter(|(_, info)| info.is_none()).map(|(partition, _)| partition);
    try_join_all(absent.map(|partition| create(link, operation, topic, &layout, partition, from))).await?;
    for info in found.iter().flatten() {
        fit(operation, topic, config, &layout, info)
            .map_err(|e| e.on(format!("consumer `{}`", info.name)))?;
    }
    layout.probed = true;
    Ok(layout)
}

fn most_pending(lanes: Lanes) -> i64 {
    match lanes {
        Lanes::Strict => 1,
        Lanes::Relaxed => MOST_PENDING,
    }
}

fn lanes_of(config: &Config) -> Lanes {
    if config.max_ack_pending == 1 { Lanes::Strict } else { Lanes::Relaxed }
}

/// That the topic has no such group.
pub(crate) fn missing(operation: &'static str, topic: &Found, group: &Group) -> Error {
    let text =
        format!("topic `{}` has no group `{group}` (a consumer for each partition)", topic.names.topic);
    Error::new(Kind::NotFound, operation, text).advice(
        "create it: anybroker topics create URL TOPIC --groups GROUP, or add topology=create to the URL",
    )
}

/// Makes the consumer of one partition.
pub(crate) async fn create(
    link: &Link,
    operation: &'static str,
    topic: &Found,
    layout: &Layout,
    partition: u32,
    from: From,
) -> Result<()> {
    let name = layout.consumer(partition);
    let mut config = json!({
        "name": name,
        "durable_name": name,
        "filter_subject": topic.names.subject(partition),
        "ack_policy": "explicit",
        "ack_wait": nanos(layout.ack_wait),
        "max_ack_pending": layout.max_pending,
        // A message is given up by the client, which keeps it; the server would only stop delivering it.
        "max_deliver": -1,
        "replay_policy": "instant",
        "deliver_policy": "all",
        "description": "a partition of a group of anybroker",
    });
    if let From::Sequence(sequence) = from {
        config["deliver_policy"] = "by_start_sequence".into();
        config["opt_start_seq"] = sequence.into();
    }
    let request = json!({ "stream_name": layout.stream, "config": config, "action": "create" });
    let subject = format!("CONSUMER.CREATE.{}.{name}.{}", layout.stream, topic.names.subject(partition));
    match link.api::<Info>(operation, &subject, &request).await {
        Ok(_) => Ok(()),
        // Somebody else made it meanwhile.
        Err(error) => match info(link, operation, &layout.stream, &name).await? {
            Some(info) => fit_one(operation, topic, partition, &info.config)
                .map_err(|e| e.on(format!("consumer `{name}`"))),
            None => Err(error),
        },
    }
}

/// Deletes the consumer of one partition.
pub(crate) async fn delete(link: &Link, operation: &'static str, stream: &str, name: &str) -> Result<()> {
    let deleted =
        link.api::<Value>(operation, &format!("CONSUMER.DELETE.{stream}.{name}"), &Value::Null).await;
    match deleted {
        Err(error) if error.kind() != Kind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What is there must be what we need, and the same for every partition.
fn fit(
    operation: &'static str,
    topic: &Found,
    config: &NatsConfig,
    layout: &Layout,
    info: &Info,
) -> Result<()> {
    let partition = group_of(&info.name).map_or(0, |(_, partition)| partition);
    fit_one(operation, topic, partition, &info.config)?;
    let there = lanes_of(&info.config);
    let wanted = config.lanes.unwrap_or(layout.lanes);
    if there != wanted {
        let text = format!(
            "its max_ack_pending is {}, which makes its lanes {}, and {} is asked for",
            info.config.max_ack_pending,
            there.as_str(),
            wanted.as_str()
        );
        let advice = "change max_ack_pending of all the group's consumers (1 is strict), or leave lanes= out";
        return Err(Error::new(Kind::InvalidConfiguration, operation, text).advice(advice));
    }
    Ok(())
}

fn fit_one(operation: &'static str, topic: &Found, partition: u32, config: &Config) -> Result<()> {
    let differs = |text: String| {
        Err(Error::new(Kind::InvalidConfiguration, operation, text)
            .advice("delete the consumer and declare the group again, or use a group of another name"))
    };
    let subject = topic.names.subject(partition);
    if config.filter_subject != subject {
        return differs(format!("it filters `{}`, and not `{subject}`", config.filter_subject));
    }
    if config.ack_policy != AckPolicy::Explicit {
        return differs(format!("its ack policy is {:?}, and not explicit", config.ack_policy));
    }
    if config.deliver_subject.is_some() {
        return differs("it is a push consumer, and not a pull consumer".to_owned());
    }
    if config.max_deliver > 0 {
        return differs(format!(
            "after {} deliveries it gives a message up (max_deliver)",
            config.max_deliver
        ));
    }
    if config.ack_wait < Duration::from_secs(5) {
        return differs(format!(
            "its ack wait is {:?}; shorter than 5 s cannot be extended in time",
            config.ack_wait
        ));
    }
    Ok(())
}

/// All groups of a stream with their consumers, by partition.
pub(crate) async fn all(
    link: &Link,
    operation: &'static str,
    stream: &str,
) -> Result<BTreeMap<Group, BTreeMap<u32, Info>>> {
    let mut groups: BTreeMap<Group, BTreeMap<u32, Info>> = BTreeMap::new();
    let mut offset = 0;
    loop {
        let page: Page =
            link.api(operation, &format!("CONSUMER.LIST.{stream}"), &json!({ "offset": offset })).await?;
        offset += page.consumers.len();
        let done = page.consumers.is_empty() || offset >= page.total;
        for info in page.consumers {
            if let Some((group, partition)) = group_of(&info.name) {
                groups.entry(group).or_default().insert(partition, info);
            }
        }
        if done {
            return Ok(groups);
        }
    }
}

#[derive(serde::Deserialize)]
struct Page {
    total: usize,
    #[serde(default)]
    consumers: Vec<Info>,
}
