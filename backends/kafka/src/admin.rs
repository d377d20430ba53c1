//! Topics and groups.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anybroker_core::{Admin, Diagnosis, Group, GroupInfo, Result, Topic, TopicInfo, Topology};
use async_trait::async_trait;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::blocking::{run, wait};
use crate::cluster::Cluster;
use crate::guarantees::missing;
use crate::{diagnosis, error, groups, lag, topology};

/// Topics and groups of a cluster.
pub(crate) struct KafkaAdmin {
    cluster: Arc<Cluster>,
    /// Groups that were declared while they had members, so that the broker could not be told.
    declared: Arc<Mutex<HashSet<(Topic, Group)>>>,
}

impl KafkaAdmin {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        KafkaAdmin { cluster, declared: Arc::default() }
    }

    fn is_declared(&self, topic: &Topic, group: &Group) -> bool {
        let declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.contains(&(topic.clone(), group.clone()))
    }

    fn declared_of(&self, topic: &Topic) -> Vec<Group> {
        let declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.iter().filter(|(of, _)| of == topic).map(|(_, group)| group.clone()).collect()
    }

    /// Runs a blocking call that makes a few requests.
    async fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        call: impl FnOnce(&Cluster) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let cluster = self.cluster.clone();
        run(cluster.config.request_timeout * 2, operation, move || call(&cluster)).await
    }
}

#[async_trait]
impl Admin for KafkaAdmin {
    async fn declare(&self, topology: &Topology) -> Result<()> {
        let (topology, declared) = (topology.clone(), self.declared.clone());
        self.ask("declare", move |cluster| {
            let view = topology::declare(cluster, "declare", &topology)?;
            for group in &topology.groups {
                if !groups::declare(cluster, &topology.topic, &view, group)? {
                    let mut declared = declared.lock().unwrap_or_else(PoisonError::into_inner);
                    declared.insert((topology.topic.clone(), group.clone()));
                }
            }
            Ok(())
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
        let declared = self.is_declared(&topic, &group);
        self.ask("backlog", move |cluster| groups::backlog(cluster, &topic, &group, declared)).await
    }

    async fn groups(&self, topic: &Topic) -> Result<Vec<GroupInfo>> {
        let (topic, declared) = (topic.clone(), self.declared_of(topic));
        self.ask("groups", move |cluster| lag::groups(cluster, &topic, declared)).await
    }

    async fn diagnose(&self, topic: Option<&Topic>) -> Result<Vec<Diagnosis>> {
        let (cluster, topic) = (self.cluster.clone(), topic.cloned());
        // A handful of requests, each of which has its own deadline.
        let deadline = cluster.config.request_timeout * 4;
        run(deadline, "diagnose", move || Ok(diagnosis::of(&cluster, topic.as_ref()))).await
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
