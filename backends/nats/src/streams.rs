//! Streams: what a topic is on the server, checked or created.

use std::time::Duration;

use anybroker_core::{Error, Kind, Result, Topic, TopologyMode};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType};
use serde_json::{Value, json};

use crate::config::NatsConfig;
use crate::guarantees::WINDOW;
use crate::link::Link;
use crate::names::Names;

/// A topic as it is.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) names: Names,
    pub(crate) partitions: u32,
    /// None if nobody looked.
    pub(crate) info: Option<Box<Info>>,
}

impl Found {
    /// The configuration of the stream, if somebody looked.
    pub(crate) fn config(&self) -> Option<&Config> {
        self.info.as_ref().map(|info| &info.config)
    }
}

/// The stream of that name, if there is one.
pub(crate) async fn info(link: &Link, operation: &'static str, stream: &str) -> Result<Option<Info>> {
    match link.api(operation, &format!("STREAM.INFO.{stream}"), &Value::Null).await {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes sure of a topic as the mode says. `partitions` is what is asked for; none takes what is there.
pub(crate) async fn topic(
    link: &Link,
    operation: &'static str,
    config: &NatsConfig,
    mode: TopologyMode,
    topic: &Topic,
    partitions: Option<u32>,
) -> Result<Found> {
    let names = Names::new(topic)?;
    if mode == TopologyMode::Ignore {
        return Ok(Found { names, partitions: partitions.unwrap_or(1), info: None });
    }
    let info = match info(link, operation, &names.stream).await? {
        Some(info) => info,
        None if mode == TopologyMode::Check => return Err(missing(operation, topic)),
        None => create(link, operation, config, &names, partitions.unwrap_or(1)).await?,
    };
    let found = fit(operation, config, &names, &info.config, partitions)
        .map_err(|e| e.on(format!("topic `{topic}`")))?;
    Ok(Found { names, partitions: found, info: Some(Box::new(info)) })
}

/// That there is no such topic.
pub(crate) fn missing(operation: &'static str, topic: &Topic) -> Error {
    Error::new(Kind::NotFound, operation, format!("there is no topic `{topic}` (no stream of that name)"))
        .advice(
            "create it: anybroker topics create URL TOPIC --groups GROUP, or add topology=create to the URL",
        )
}

async fn create(
    link: &Link,
    operation: &'static str,
    config: &NatsConfig,
    names: &Names,
    partitions: u32,
) -> Result<Info> {
    let window = config.deduplication.unwrap_or(WINDOW);
    let stream = json!({
        "name": names.stream,
        "subjects": names.subjects(partitions),
        // Programs that know nothing of partitions publish to the topic itself.
        "subject_transform": { "src": names.topic.as_str(), "dest": names.subject(0) },
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "num_replicas": config.replicas.unwrap_or(1),
        "duplicate_window": nanos(window),
        "max_msgs": -1,
        "max_bytes": -1,
        "max_msgs_per_subject": -1,
        "max_consumers": -1,
        "max_age": 0,
        "description": "a topic of anybroker",
    });
    let created = link.api(operation, &format!("STREAM.CREATE.{}", names.stream), &stream).await;
    match created {
        Ok(info) => Ok(info),
        // Somebody else made it meanwhile; whether it fits is looked at next.
        Err(error) => info(link, operation, &names.stream).await?.ok_or(error),
    }
}

/// A duration as JetStream's requests have it.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What is there must be what we need: how many partitions it has, or the difference.
fn fit(
    operation: &'static str,
    config: &NatsConfig,
    names: &Names,
    stream: &Config,
    asked: Option<u32>,
) -> Result<u32> {
    let differs = |text: String, advice: &str| {
        Err(Error::new(Kind::InvalidConfiguration, operation, text).advice(advice.to_owned()))
    };
    let Some(partitions) = names.partitions(&stream.subjects) else {
        let text = format!("stream `{}` has the subjects {:?}", names.stream, stream.subjects);
        return differs(
            text,
            "a topic's stream has its name and one subject for each partition: NAME, NAME.0, NAME.1 …",
        );
    };
    if let Some(asked) = asked.filter(|asked| *asked != partitions) {
        let text = format!("the topic has {partitions} partitions, and {asked} are asked for");
        let advice =
            "leave partitions= out, or use another topic: a key's messages would change their partition";
        return differs(text, advice);
    }
    if stream.retention != RetentionPolicy::Limits {
        let text =
            format!("the stream's retention is {:?}, and groups to come need limits", stream.retention);
        return differs(text, "make it a stream with retention `limits`");
    }
    if stream.storage != StorageType::File {
        return differs("the stream is kept in memory".to_owned(), "make it a stream with storage `file`");
    }
    if stream.no_ack {
        let text = "the stream does not confirm what it stores".to_owned();
        return differs(text, "make it a stream with no_ack=false");
    }
    if let Some(window) = config.deduplication.filter(|window| *window != stream.duplicate_window) {
        let text =
            format!("the deduplication window is {:?}, and {window:?} is asked for", stream.duplicate_window);
        return differs(text, "change the stream's duplicate_window, or leave deduplication= out");
    }
    if let Some(replicas) = config.replicas.filter(|replicas| *replicas != stream.num_replicas) {
        let text = format!("the stream has {} replicas, and {replicas} are asked for", stream.num_replicas);
        return differs(text, "change the stream's num_replicas, or leave replicas= out");
    }
    Ok(partitions)
}

/// Which of the stream's limits takes messages away that a group may not have seen.
pub(crate) fn losing(stream: &Config) -> Option<String> {
    let mut limits = Vec::new();
    if !stream.max_age.is_zero() {
        limits.push(format!("max_age {:?}", stream.max_age));
    }
    if stream.discard == DiscardPolicy::Old {
        let old = [("max_msgs", stream.max_messages), ("max_bytes", stream.max_bytes)];
        limits.extend(
            old.iter().filter(|(_, limit)| *limit > 0).map(|(name, limit)| format!("{name} {limit}")),
        );
    }
    if stream.max_messages_per_subject > 0 {
        limits.push(format!("max_msgs_per_subject {}", stream.max_messages_per_subject));
    }
    (!limits.is_empty()).then(|| format!("messages older than its limits are removed: {}", limits.join(", ")))
}
