//! Topics and groups.

use std::time::Duration;

use anybroker_core::{
    Admin, Diagnosis, Error, Finding, Group, GroupInfo, Kind, PartitionLag, Result, Topic, TopicInfo,
    Topology, async_trait,
};

use crate::Memory;
use crate::group::{Cursor, GroupState};
use crate::log::Log;
use crate::store::TopicInner;

#[async_trait]
impl Admin for Memory {
    async fn declare(&self, topology: &Topology) -> Result<()> {
        self.store.declare(topology, &self.setup).map(|_| ())
    }

    async fn delete(&self, topic: &Topic) -> Result<()> {
        if self.setup.semantics.stores { self.store.delete(topic) } else { Ok(()) }
    }

    async fn purge(&self, topic: &Topic) -> Result<()> {
        if self.setup.semantics.stores {
            self.store.topic(topic)?.lock().purge();
        }
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        if !self.setup.semantics.lists_topics {
            return Err(Error::new(Kind::Unsupported, "topics", "this broker cannot list its topics")
                .advice("keep a list of them elsewhere"));
        }
        let mut topics: Vec<_> = self
            .store
            .topics()
            .iter()
            .map(|state| {
                let inner = state.lock();
                let mut groups: Vec<_> = inner.groups.keys().map(Group::to_string).collect();
                groups.sort();
                TopicInfo {
                    topic: state.topic.to_string(),
                    partitions: self.setup.semantics.partitions.then_some(inner.logs.len() as u32),
                    groups,
                }
            })
            .collect();
        topics.sort_by(|a, b| a.topic.cmp(&b.topic));
        Ok(topics)
    }

    async fn backlog(&self, topic: &Topic, group: &Group) -> Result<u64> {
        self.refuse_unless_stored("backlog")?;
        let state = self.store.topic(topic)?;
        let inner = state.lock();
        let missing =
            || Error::new(Kind::NotFound, "backlog", "there is no such group").on(format!("group `{group}`"));
        let cursors = &inner.groups.get(group).ok_or_else(missing)?.cursors;
        Ok(cursors.iter().zip(&inner.logs).map(|(cursor, log)| cursor.backlog(log.end())).sum())
    }

    async fn groups(&self, topic: &Topic) -> Result<Vec<GroupInfo>> {
        self.refuse_unless_stored("groups")?;
        let state = self.store.topic(topic)?;
        let mut groups = state.lock().group_infos();
        if !self.setup.semantics.partitions {
            groups.iter_mut().for_each(as_one);
        }
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(groups)
    }

    async fn diagnose(&self, _topic: Option<&Topic>) -> Result<Vec<Diagnosis>> {
        let text =
            "messages live in this process's memory: nothing outlives it, and no other process sees it";
        let advice = "sqlite:///path/file.db keeps them on this machine, for several processes";
        Ok(vec![Diagnosis::new("durability", Finding::Warning, text).advice(advice)])
    }

    async fn health(&self) -> Result<Duration> {
        Ok(Duration::ZERO)
    }
}

/// What has no partitions shows one.
fn as_one(group: &mut GroupInfo) {
    let backlog = group.backlog();
    group.partitions = vec![PartitionLag { partition: 0, backlog }];
}

impl Memory {
    fn refuse_unless_stored(&self, operation: &'static str) -> Result<()> {
        if self.setup.semantics.stores {
            return Ok(());
        }
        Err(Error::new(Kind::Unsupported, operation, "this broker keeps neither groups nor messages")
            .advice("choose one that stores"))
    }
}

impl TopicInner {
    fn group_infos(&self) -> Vec<GroupInfo> {
        let lag = |(partition, (cursor, log)): (usize, (&Cursor, &Log))| PartitionLag {
            partition: partition as u32,
            backlog: cursor.backlog(log.end()),
        };
        let info = |(group, state): (&Group, &GroupState)| GroupInfo {
            group: group.to_string(),
            members: Some(state.members.len() as u32),
            partitions: state.cursors.iter().zip(&self.logs).enumerate().map(lag).collect(),
        };
        self.groups.iter().map(info).collect()
    }
}
