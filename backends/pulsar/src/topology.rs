//! What a topic has, and what opening does about it.

use std::sync::Arc;

use anybroker_core::{Error, Group, Kind, Result, Topic, TopologyMode};
use pulsar::proto::{BaseCommand, CommandPartitionedTopicMetadata, base_command::Type};

use crate::config::PulsarConfig;
use crate::error::{lost, refused};
use crate::http::Http;
use crate::manage::{Manager, Retention, missing};
use crate::wire::Wire;

/// What everything of one broker handle shares.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Arc<PulsarConfig>,
    pub(crate) manager: Manager,
}

/// A topic as it is.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) topic: Topic,
    /// How many partitions; none if it is not partitioned.
    pub(crate) partitions: Option<u32>,
    /// What is kept of it; none if nobody looked.
    pub(crate) retention: Option<Retention>,
}

impl View {
    /// How many topics it is at the broker.
    pub(crate) fn count(&self) -> u32 {
        self.partitions.unwrap_or(1)
    }

    /// The name of a partition's topic, without its namespace.
    pub(crate) fn name(&self, partition: u32) -> String {
        match self.partitions {
            Some(_) => format!("{}-partition-{partition}", self.topic),
            None => self.topic.to_string(),
        }
    }

    /// The names of all of them.
    pub(crate) fn names(&self) -> Vec<String> {
        (0..self.count()).map(|partition| self.name(partition)).collect()
    }
}

impl Context {
    pub(crate) fn new(config: PulsarConfig) -> Result<Self> {
        let manager = Manager::new(Http::new(&config)?, &config.namespace);
        Ok(Context { config: Arc::new(config), manager })
    }

    /// A topic's name in full.
    pub(crate) fn full(&self, name: &str) -> String {
        format!("persistent://{}/{name}", self.config.namespace)
    }

    /// The topic as it is, after what `mode` says has been done about it.
    ///
    /// # Errors
    /// `NotFound`, `InvalidConfiguration` if it has other partitions than are asked for, and as the admin interface fails.
    ///
    /// # Cancel safety
    /// A cancelled call may have created it.
    pub(crate) async fn topic(
        &self,
        operation: &'static str,
        mode: TopologyMode,
        wire: &Wire,
        topic: &Topic,
        asked: Option<u32>,
    ) -> Result<View> {
        check_name(operation, topic)?;
        if mode == TopologyMode::Ignore {
            let partitions = self.partitions_by_wire(operation, wire, topic).await?;
            return Ok(View { topic: topic.clone(), partitions, retention: None });
        }
        self.ensure(operation, mode, topic, asked).await
    }

    /// The same by the admin interface alone.
    pub(crate) async fn ensure(
        &self,
        operation: &'static str,
        mode: TopologyMode,
        topic: &Topic,
        asked: Option<u32>,
    ) -> Result<View> {
        check_name(operation, topic)?;
        let manager = &self.manager;
        let mut found = manager.partitions(operation, topic).await?;
        if found.is_none() && mode == TopologyMode::Create {
            manager.create(operation, topic, asked).await?;
            if !self.config.retention.is_zero() {
                manager.retain(operation, topic, self.config.retention).await?;
            }
            found = manager.partitions(operation, topic).await?;
        }
        let found = found.ok_or_else(|| missing(operation, topic))?;
        if let Some(asked) = asked.filter(|asked| *asked != found) {
            let has =
                if found == 0 { "is not partitioned".to_owned() } else { format!("has {found} partitions") };
            let text = format!("topic `{topic}` {has}, and {asked} partitions are asked for");
            return Err(Error::new(Kind::InvalidConfiguration, operation, text)
                .advice("leave `partitions` out, or choose another topic"));
        }
        let retention = manager.retention(operation, topic).await?;
        Ok(View { topic: topic.clone(), partitions: (found > 0).then_some(found), retention })
    }

    async fn partitions_by_wire(
        &self,
        operation: &'static str,
        wire: &Wire,
        topic: &Topic,
    ) -> Result<Option<u32>> {
        let answer = wire.request(operation, |request_id| BaseCommand {
            r#type: Type::PartitionedMetadata as i32,
            partition_metadata: Some(CommandPartitionedTopicMetadata {
                topic: self.full(topic.as_str()),
                request_id,
                ..Default::default()
            }),
            ..Default::default()
        });
        let answer = answer.await?.partition_metadata_response.ok_or_else(|| lost(operation))?;
        if let Some(code) = answer.error {
            return Err(refused(operation, code, answer.message()));
        }
        Ok(answer.partitions.filter(|partitions| *partitions > 0))
    }

    /// Makes sure of a group as `mode` says.
    ///
    /// # Errors
    /// `NotFound`, and as the admin interface fails.
    ///
    /// # Cancel safety
    /// A cancelled call may have created it.
    pub(crate) async fn group(
        &self,
        operation: &'static str,
        mode: TopologyMode,
        topic: &Topic,
        group: &Group,
    ) -> Result<()> {
        match mode {
            TopologyMode::Ignore => Ok(()),
            TopologyMode::Create => self.manager.create_group(operation, topic, group).await,
            TopologyMode::Check => self.has_group(operation, topic, group).await,
        }
    }

    /// Refuses a group that is not there.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn has_group(
        &self,
        operation: &'static str,
        topic: &Topic,
        group: &Group,
    ) -> Result<()> {
        if self.manager.groups(operation, topic).await?.iter().any(|name| name == group.as_str()) {
            return Ok(());
        }
        let text = format!("topic `{topic}` has no group `{group}`");
        Err(Error::new(Kind::NotFound, operation, text)
            .advice("create it: anybroker topics create URL TOPIC --groups GROUP, or use topology=create"))
    }
}

/// Pulsar takes such a name for a partition of another topic.
fn check_name(operation: &'static str, topic: &Topic) -> Result<()> {
    let is_partition = topic
        .as_str()
        .rsplit_once("-partition-")
        .is_some_and(|(_, number)| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()));
    if !is_partition {
        return Ok(());
    }
    let text = format!("`{topic}` is how Pulsar names a partition of another topic");
    Err(Error::new(Kind::InvalidConfiguration, operation, text).advice("choose another name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_partitions_are_no_topics() {
        let topic = |name: &str| Topic::new(name).unwrap();
        assert!(check_name("open", &topic("orders-partition-3")).is_err());
        for name in ["orders", "orders-partition-", "orders-partition-x", "partition-1"] {
            check_name("open", &topic(name)).unwrap();
        }
    }
}
