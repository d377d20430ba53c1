//! Topics and groups.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anybroker_core::{Admin, Group, Result, Topic, TopicInfo, Topology};
use async_trait::async_trait;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::blocking::{run, wait};
use crate::cluster::Cluster;
use crate::guarantees::missing;
use crate::{error, groups, topology};

/// Topics and groups of a cluster.
pub(crate) struct KafkaAdmin(pub(crate) Arc<Cluster>);

impl KafkaAdmin {
    /// Runs a blocking call that makes a few requests.
    async fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        call: impl FnOnce(&Cluster) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let cluster = self.0.clone();
        run(cluster.config.request_timeout * 2, operation, move || call(&cluster)).await
    }
}

#[async_trait]
impl Admin for KafkaAdmin {
    async fn declare(&self, topology: &Topology) -> Result<()> {
        let topology = topology.clone();
        self.ask("declare", move |cluster| {
            let view = topology::declare(cluster, "declare", &topology)?;
            topology
                .groups
                .iter()
                .try_for_each(|group| groups::declare(cluster, &topology.topic, &view, group))
        })
        .await
    }

    async fn delete(&self, topic: &Topic) -> Result<()> {
        let topic = topic.clone();
        self.ask("topics delete", move |cluster| topology::delete(cluster, &topic)).await
    }

    async fn purge(&self, topic: &Topic) -> Result<()> {
        let topic = topic.clone();
        self.ask("topics purge", move |cluster| purge(cluster, &topic)).await
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.ask("topics list", |cluster| {
            let mut groups = groups::by_topic(cluster, cluster.config.request_timeout)?;
            let topics = cluster.topics("topics list")?.into_iter().map(|(topic, view)| TopicInfo {
                partitions: Some(view.partitions.len() as u32),
                groups: groups.remove(&topic).unwrap_or_default(),
                topic,
            });
            Ok(topics.collect())
        })
        .await
    }

    async fn backlog(&self, topic: &Topic, group: &Group) -> Result<u64> {
        let (topic, group) = (topic.clone(), group.clone());
        self.ask("backlog", move |cluster| groups::backlog(cluster, &topic, &group)).await
    }

    async fn health(&self) -> Result<Duration> {
        self.ask("health", |cluster| {
            let asked = Instant::now();
            cluster.ping("health", cluster.config.request_timeout)?;
            Ok(asked.elapsed())
        })
        .await
    }
}

fn purge(cluster: &Cluster, topic: &Topic) -> Result<()> {
    let operation = "topics purge";
    let view = cluster.topic(operation, topic.as_str())?.ok_or_else(|| missing(operation, topic))?;
    let of = |e| error::of(operation, e).on(format!("topic `{topic}`"));
    let mut list = TopicPartitionList::new();
    for partition in view.partitions {
        list.add_partition_offset(topic.as_str(), partition as i32, Offset::End).map_err(of)?;
    }
    let answer =
        wait(cluster.config.request_timeout, cluster.admin.delete_records(&list, &cluster.options()))
            .unwrap_or(Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut)))
            .map_err(of)?;
    answer.elements().iter().try_for_each(|element| element.error().map_err(of))
}
