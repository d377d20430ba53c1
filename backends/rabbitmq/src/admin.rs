//! Topics and groups.

use std::time::{Duration, Instant};

use anybroker_core::{
    Admin, Error, Group, Kind, Result, Topic, TopicInfo, Topology, TopologyMode, async_trait,
};

use crate::backend::Rabbit;
use crate::names::Names;
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
        if !wire.exchange_exists(topic.as_str()).await? {
            return Err(missing("delete", format!("there is no topic `{topic}`")));
        }
        wire.delete_exchange(topic.as_str()).await
    }

    async fn purge(&self, topic: &Topic) -> Result<()> {
        let _ = topic;
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

    async fn health(&self) -> Result<Duration> {
        let live = self.link.now().await?;
        let started = Instant::now();
        // The exchange that every virtual host has.
        Wire::new(&live, "health").exchange_exists("amq.fanout").await?;
        Ok(started.elapsed())
    }
}

fn missing(operation: &'static str, text: String) -> Error {
    Error::new(Kind::NotFound, operation, text)
        .advice("create it: anybroker topics create URL TOPIC --groups GROUP")
}
