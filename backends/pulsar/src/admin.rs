//! Topics and groups.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anybroker_core::{
    Admin, Diagnosis, Error, Group, GroupInfo, Kind, PartitionLag, Result, Topic, TopicInfo, Topology,
    TopologyMode, async_trait,
};

use crate::backend::PulsarBackend;
use crate::connections::Connections;
use crate::diagnosis;
use crate::manage::{Manager, Stats, missing};

#[async_trait]
impl Admin for PulsarBackend {
    async fn declare(&self, topology: &Topology) -> Result<()> {
        let (context, mode) = (&self.context, TopologyMode::Create);
        let partitions = topology.partitions.or(context.config.partitions);
        context.ensure("declare", mode, &topology.topic, partitions).await?;
        for group in &topology.groups {
            context.group("declare", mode, &topology.topic, group).await?;
        }
        Ok(())
    }

    async fn delete(&self, topic: &Topic) -> Result<()> {
        let manager = &self.context.manager;
        let partitioned = self.partitioned("delete", topic).await?;
        manager.delete("delete", topic, partitioned).await
    }

    async fn purge(&self, topic: &Topic) -> Result<()> {
        self.partitioned("purge", topic).await?;
        self.context.manager.truncate("purge", topic).await
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        topics(&self.context.manager).await
    }

    async fn backlog(&self, topic: &Topic, group: &Group) -> Result<u64> {
        self.context.has_group("backlog", topic, group).await?;
        let stats = self.stats("backlog", topic).await?;
        Ok(stats.iter().map(|partition| backlog(partition, group.as_str())).sum())
    }

    async fn groups(&self, topic: &Topic) -> Result<Vec<GroupInfo>> {
        let groups: BTreeSet<_> = self.context.manager.groups("groups", topic).await?.into_iter().collect();
        let stats = self.stats("groups", topic).await?;
        Ok(groups.into_iter().map(|group| info(&stats, group)).collect())
    }

    async fn diagnose(&self, topic: Option<&Topic>) -> Result<Vec<Diagnosis>> {
        Ok(diagnosis::of(&self.context, topic).await)
    }

    async fn health(&self) -> Result<Duration> {
        self.refuse_if_closed("health")?;
        Connections::open(self.context.config.clone()).await?.base().ping().await
    }
}

impl PulsarBackend {
    async fn partitioned(&self, operation: &'static str, topic: &Topic) -> Result<bool> {
        let found = self.context.manager.partitions(operation, topic).await?;
        found.map(|partitions| partitions > 0).ok_or_else(|| missing(operation, topic))
    }

    async fn stats(&self, operation: &'static str, topic: &Topic) -> Result<Vec<Stats>> {
        let partitioned = self.partitioned(operation, topic).await?;
        self.context.manager.stats(operation, topic, partitioned).await
    }
}

fn backlog(stats: &Stats, group: &str) -> u64 {
    stats.subscriptions.get(group).map_or(0, |group| group.msg_backlog.max(0) as u64)
}

fn info(stats: &[Stats], group: String) -> GroupInfo {
    let members: BTreeSet<_> = stats
        .iter()
        .filter_map(|partition| partition.subscriptions.get(&group))
        .flat_map(|group| group.consumers.iter().map(|consumer| consumer.consumer_name.as_str()))
        .collect();
    let lag = |(partition, stats): (usize, &Stats)| PartitionLag {
        partition: partition as u32,
        backlog: backlog(stats, &group),
    };
    let partitions = stats.iter().enumerate().map(lag).collect();
    let members = Some(members.len() as u32);
    GroupInfo { group, members, partitions }
}

/// The topics by their names, with as many partitions as are stored; Pulsar's own, which begin with two underscores, are
/// left out.
async fn topics(manager: &Manager) -> Result<Vec<TopicInfo>> {
    let mut found: BTreeMap<String, Option<u32>> = BTreeMap::new();
    for stored in manager.topics("topics").await? {
        let name = stored.rsplit('/').next().unwrap_or_default();
        if name.starts_with("__") {
            continue;
        }
        match name.rsplit_once("-partition-").filter(|(_, number)| number.parse::<u32>().is_ok()) {
            Some((name, _)) => *found.entry(name.to_owned()).or_default().get_or_insert(0) += 1,
            None => _ = found.entry(name.to_owned()).or_default(),
        }
    }
    let mut topics = Vec::new();
    for (topic, partitions) in found {
        // A name that the contract does not know, or a topic that went meanwhile, has no groups to show.
        let groups = match Topic::new(&topic) {
            Ok(topic) => known(manager.groups("topics", &topic).await)?,
            Err(_) => Vec::new(),
        };
        topics.push(TopicInfo { topic, partitions: Some(partitions.unwrap_or(1)), groups });
    }
    Ok(topics)
}

fn known(groups: Result<Vec<String>>) -> Result<Vec<String>, Error> {
    match groups {
        Err(error) if error.kind() == Kind::NotFound => Ok(Vec::new()),
        other => other,
    }
}
