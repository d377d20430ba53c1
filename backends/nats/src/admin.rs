//! Topics and groups.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anybroker_core::{
    Admin, Diagnosis, Group, GroupInfo, PartitionLag, Result, Topic, TopicInfo, Topology, TopologyMode,
    async_trait,
};
use async_nats::jetstream::consumer::Info;
use serde_json::{Value, json};

use crate::backend::Nats;
use crate::bucket;
use crate::diagnosis;
use crate::groups::{self, From};
use crate::names::{Names, topic_of};
use crate::sharing::View;
use crate::streams::{self, Found};

impl Nats {
    async fn existing(&self, operation: &'static str, topic: &Topic) -> Result<Found> {
        streams::topic(&self.link, operation, &self.config, TopologyMode::Check, topic, None).await
    }
}

#[async_trait]
impl Admin for Nats {
    async fn declare(&self, topology: &Topology) -> Result<()> {
        let (link, config, mode) = (&self.link, &self.config, TopologyMode::Create);
        bucket::declare(link, "declare", config, mode).await?;
        let partitions = topology.partitions.or(config.partitions);
        let topic = streams::topic(link, "declare", config, mode, &topology.topic, partitions).await?;
        for group in &topology.groups {
            groups::group(link, "declare", config, mode, &topic, group, From::First).await?;
        }
        Ok(())
    }

    async fn delete(&self, topic: &Topic) -> Result<()> {
        let names = Names::new(topic)?;
        let deleted = self.link.api("delete", &format!("STREAM.DELETE.{}", names.stream), &Value::Null).await;
        deleted.map(|_: Value| ()).map_err(|error| match error.kind() {
            anybroker_core::Kind::NotFound => streams::missing("delete", topic),
            _ => error,
        })?;
        bucket::purge(&self.link, "delete", &names.all_members()).await
    }

    async fn purge(&self, topic: &Topic) -> Result<()> {
        let names = Names::new(topic)?;
        let purged = self.link.api("purge", &format!("STREAM.PURGE.{}", names.stream), &Value::Null).await;
        purged.map(|_: Value| ()).map_err(|error| match error.kind() {
            anybroker_core::Kind::NotFound => streams::missing("purge", topic),
            _ => error,
        })
    }

    /// Streams whose subjects are a topic's.
    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        let mut topics = Vec::new();
        for stream in self.streams().await? {
            let Some(topic) = topic_of(&stream.config.name) else { continue };
            let Ok(names) = Names::new(&topic) else { continue };
            let Some(partitions) = names.partitions(&stream.config.subjects) else { continue };
            let groups = groups::all(&self.link, "topics", &names.stream).await?;
            topics.push(TopicInfo {
                topic: topic.to_string(),
                partitions: Some(partitions),
                groups: groups.into_keys().map(|group| group.to_string()).collect(),
            });
        }
        Ok(topics)
    }

    async fn backlog(&self, topic: &Topic, group: &Group) -> Result<u64> {
        let found = self.existing("backlog", topic).await?;
        let mut groups = groups::all(&self.link, "backlog", &found.names.stream).await?;
        let consumers = groups.remove(group).ok_or_else(|| groups::missing("backlog", &found, group))?;
        Ok(lags(&consumers).iter().map(|partition| partition.backlog).sum())
    }

    async fn groups(&self, topic: &Topic) -> Result<Vec<GroupInfo>> {
        let found = self.existing("groups", topic).await?;
        let mut infos = Vec::new();
        for (group, consumers) in groups::all(&self.link, "groups", &found.names.stream).await? {
            let prefix = found.names.members(&group);
            // Without the bucket nobody can be a member.
            let keys = bucket::keys(&self.link, "groups", &prefix).await.unwrap_or_default();
            let members = u32::try_from(View::new(&keys, &prefix).members.len()).ok();
            infos.push(GroupInfo { group: group.to_string(), members, partitions: lags(&consumers) });
        }
        Ok(infos)
    }

    async fn diagnose(&self, topic: Option<&Topic>) -> Result<Vec<Diagnosis>> {
        diagnosis::diagnose(&self.link, &self.config, topic).await
    }

    async fn health(&self) -> Result<Duration> {
        let started = Instant::now();
        self.link.api::<Value>("health", "INFO", &Value::Null).await?;
        Ok(started.elapsed())
    }
}

impl Nats {
    async fn streams(&self) -> Result<Vec<async_nats::jetstream::stream::Info>> {
        #[derive(serde::Deserialize)]
        struct Page {
            total: usize,
            streams: Option<Vec<async_nats::jetstream::stream::Info>>,
        }
        let mut streams = Vec::new();
        loop {
            let page: Page =
                self.link.api("topics", "STREAM.LIST", &json!({ "offset": streams.len() })).await?;
            let found = page.streams.unwrap_or_default();
            let done = found.is_empty() || streams.len() + found.len() >= page.total;
            streams.extend(found);
            if done {
                return Ok(streams);
            }
        }
    }
}

/// What waits and what is delivered and not acknowledged.
fn lags(consumers: &BTreeMap<u32, Info>) -> Vec<PartitionLag> {
    let lag = |(partition, info): (&u32, &Info)| PartitionLag {
        partition: *partition,
        backlog: info.num_pending + info.num_ack_pending as u64,
    };
    consumers.iter().map(lag).collect()
}
