//! Topics and groups.

use std::time::Duration;

use anybroker_core::{Admin, Error, Group, Kind, Result, Topic, TopicInfo, Topology, async_trait};

use crate::Memory;

#[async_trait]
impl Admin for Memory {
    async fn declare(&self, topology: &Topology) -> Result<()> {
        self.store.declare(topology, &self.config).map(|_| ())
    }

    async fn delete(&self, topic: &Topic) -> Result<()> {
        self.store.delete(topic)
    }

    async fn purge(&self, topic: &Topic) -> Result<()> {
        self.store.topic(topic)?.lock().purge();
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
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
                    partitions: Some(inner.logs.len() as u32),
                    groups,
                }
            })
            .collect();
        topics.sort_by(|a, b| a.topic.cmp(&b.topic));
        Ok(topics)
    }

    async fn backlog(&self, topic: &Topic, group: &Group) -> Result<u64> {
        let state = self.store.topic(topic)?;
        let inner = state.lock();
        let missing =
            || Error::new(Kind::NotFound, "backlog", "there is no such group").on(format!("group `{group}`"));
        let cursors = &inner.groups.get(group).ok_or_else(missing)?.cursors;
        Ok(cursors.iter().zip(&inner.logs).map(|(cursor, log)| cursor.backlog(log.end())).sum())
    }

    async fn health(&self) -> Result<Duration> {
        Ok(Duration::ZERO)
    }
}
