//! The broker: a log for each topic, and how far each group is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anybroker_core::kit::Returned;
use anybroker_core::{Error, Group, Kind, Record, Result, Topic, TopicInfo};
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<BTreeMap<Topic, Arc<Log>>>);

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Topic, Arc<Log>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self, topic: &Topic) -> Result<Arc<Log>> {
        self.lock().get(topic).cloned().ok_or_else(|| missing(topic))
    }

    pub(crate) fn put(&self, topic: &Topic) -> Arc<Log> {
        self.lock().entry(topic.clone()).or_default().clone()
    }

    pub(crate) fn remove(&self, topic: &Topic) -> Result<()> {
        let log = self.lock().remove(topic).ok_or_else(|| missing(topic))?;
        log.lock().deleted = true;
        log.changed.notify_waiters();
        Ok(())
    }

    pub(crate) fn topics(&self) -> Vec<TopicInfo> {
        let info =
            |topic: &Topic| TopicInfo { topic: topic.to_string(), partitions: Some(1), groups: Vec::new() };
        self.lock().keys().map(info).collect()
    }
}

fn missing(topic: &Topic) -> Error {
    Error::new(Kind::NotFound, "open", "the topic does not exist")
        .on(format!("topic `{topic}`"))
        .advice("declare it")
}

/// One topic. Its records stay; a group that is declared later gets them all.
#[derive(Debug, Default)]
pub(crate) struct Log {
    inner: Mutex<Inner>,
    /// Told of every record, and whenever a member leaves.
    pub(crate) changed: Notify,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) records: Vec<Record>,
    pub(crate) groups: HashMap<Group, Progress>,
    pub(crate) deleted: bool,
}

/// How far a group is. The first of its members gets everything; the others stand by.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) members: VecDeque<u64>,
    acknowledged: Vec<bool>,
    attempts: HashMap<u64, u32>,
}

impl Log {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(crate) fn backlog(&self, group: &Group) -> u64 {
        let done =
            self.groups.get(group).map_or(0, |group| group.acknowledged.iter().filter(|done| **done).count());
        (self.records.len() - done) as u64
    }

    pub(crate) fn acknowledge_all(&mut self) {
        let Inner { records, groups, .. } = self;
        groups.values_mut().for_each(|group| group.acknowledged = vec![true; records.len()]);
    }
}

impl Progress {
    pub(crate) fn is_acknowledged(&self, offset: u64) -> bool {
        self.acknowledged.get(offset as usize).copied().unwrap_or(false)
    }

    pub(crate) fn acknowledge(&mut self, offset: u64) {
        let at = offset as usize;
        self.acknowledged.resize(self.acknowledged.len().max(at + 1), false);
        self.acknowledged[at] = true;
        self.attempts.remove(&offset);
    }

    /// How often it was delivered by members that have left.
    pub(crate) fn attempts(&self, offset: u64) -> u32 {
        self.attempts.get(&offset).copied().unwrap_or(0)
    }

    pub(crate) fn leave(&mut self, member: u64, returned: &[Returned]) {
        self.members.retain(|other| *other != member);
        self.attempts.extend(returned.iter().map(|message| (message.native, message.attempts)));
    }
}
