//! Topics and groups.

use std::time::{Duration, Instant};

use anybroker_core::{
    Admin, Diagnosis, Error, Group, GroupInfo, Kind, PartitionLag, Result, Topic, TopicInfo, Topology,
    TopologyMode, async_trait,
};

use crate::backend::Rabbit;
use crate::diagnosis;
use crate::names::{Layout, Names};
use crate::topology::Keeper;
use crate::wire::Wire;

#[async_trait]
impl Admin for Rabbit {
    async fn declare(&self, topology: &Topology) -> Result<()> {
        let live = self.link.now().await?;
        let keeper = Keeper::new(&live, "declare", TopologyMode::Create);
        keeper.topic(&topology.topic).await?;
        let partitions = topology.partitions.or(self.config.partitions);
        for group in &topology.groups {
            keeper.group(&topology.topic, group, &self.config, partitions).await?;
        }
        Ok(())
    }

    async fn delete(&self, topic: &Topic) -> Result<()> {
        let live = self.link.now().await?;
        let wire = Wire::new(&live, "delete");
        let keeper = Keeper::new(&live, "delete", TopologyMode::Check);
        let groups = groups(&wire, &keeper, topic).await?;
        // The exchange first: what is published from now on is refused. The list last: it is needed to try again.
        wire.delete_exchange(topic.as_str()).await?;
        for layout in groups {
            keeper.remove_group(&layout).await?;
        }
        wire.delete_queue(keeper.registry(topic).queue()).await
    }

    async fn purge(&self, topic: &Topic) -> Result<()> {
        let live = self.link.now().await?;
        let wire = Wire::new(&live, "purge");
        let keeper = Keeper::new(&live, "purge", TopologyMode::Check);
        for layout in groups(&wire, &keeper, topic).await? {
            for queue in layout.queues() {
                wire.purge_queue(&queue).await?;
            }
        }
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        let text = "AMQP cannot list exchanges and queues";
        let advice = "look at them with rabbitmqctl list_exchanges and list_queues, or the management plugin";
        Err(Error::new(Kind::Unsupported, "topics", text).advice(advice))
    }

    /// Messages ready for delivery: AMQP does not show those that consumers hold.
    async fn backlog(&self, topic: &Topic, group: &Group) -> Result<u64> {
        let live = self.link.now().await?;
        let wire = Wire::new(&live, "backlog");
        let keeper = Keeper::new(&live, "backlog", TopologyMode::Check);
        let found = keeper.find(&Names::new(topic, group)?).await?;
        let layout =
            found.ok_or_else(|| missing("backlog", format!("topic `{topic}` has no group `{group}`")))?;
        let mut ready = 0;
        for queue in layout.queues() {
            ready += wire.look(&queue).await?.map_or(0, |seen| u64::from(seen.ready));
        }
        Ok(ready)
    }

    /// The backlog is what is ready for delivery, as in [`backlog`](Admin::backlog).
    async fn groups(&self, topic: &Topic) -> Result<Vec<GroupInfo>> {
        let live = self.link.now().await?;
        let wire = Wire::new(&live, "groups");
        let keeper = Keeper::new(&live, "groups", TopologyMode::Check);
        let mut infos = Vec::new();
        for layout in groups(&wire, &keeper, topic).await? {
            infos.push(info(&wire, topic, &layout).await?);
        }
        infos.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(infos)
    }

    async fn diagnose(&self, topic: Option<&Topic>) -> Result<Vec<Diagnosis>> {
        let live = self.link.now().await?;
        Ok(diagnosis::of(&self.config, &live, topic).await)
    }

    async fn health(&self) -> Result<Duration> {
        let live = self.link.now().await?;
        let started = Instant::now();
        // The exchange that every virtual host has.
        Wire::new(&live, "health").exchange_exists("amq.fanout").await?;
        Ok(started.elapsed())
    }
}

/// A group with what its queues show.
async fn info(wire: &Wire<'_>, topic: &Topic, layout: &Layout) -> Result<GroupInfo> {
    let (mut partitions, mut members) = (Vec::new(), None);
    for partition in 0..layout.count() {
        let Some(seen) = wire.look(&layout.queue(partition)).await? else { continue };
        // Of a queue with a single active consumer only that one shows: members that wait for their turn do not.
        members = (seen.consumers == 0).then_some(0);
        partitions.push(PartitionLag { partition, backlog: seen.ready.into() });
    }
    if layout.partitions.is_some() {
        members = wire.look(&layout.names.members()).await?.map(|seen| seen.consumers);
    }
    let group = layout.names.group.strip_prefix(&format!("{topic}:")).unwrap_or(&layout.names.group);
    Ok(GroupInfo { group: group.to_owned(), members, partitions })
}

/// The topic's groups as they are. A topic whose deletion was cut short has a list, but no exchange any more.
async fn groups(wire: &Wire<'_>, keeper: &Keeper<'_>, topic: &Topic) -> Result<Vec<Layout>> {
    let registry = keeper.registry(topic);
    if !wire.exchange_exists(topic.as_str()).await? && wire.look(registry.queue()).await?.is_none() {
        return Err(missing(wire.operation, format!("there is no topic `{topic}`")));
    }
    let mut layouts = Vec::new();
    for group in registry.groups().await? {
        layouts.extend(keeper.find(&Names::new(topic, &group)?).await?);
    }
    Ok(layouts)
}

fn missing(operation: &'static str, text: String) -> Error {
    Error::new(Kind::NotFound, operation, text)
        .advice("create it: anybroker topics create URL TOPIC --groups GROUP")
}
