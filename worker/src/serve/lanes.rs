//! Keyed lanes: of each key one message is in work, the later ones wait behind it; keys take turns.

use std::collections::{HashMap, VecDeque};

use anybroker_core::{Delivery, Key};

/// A message on its way through the worker.
#[derive(Debug)]
pub(super) struct Task {
    /// The delivery, unsettled.
    pub(super) delivery: Delivery,
    /// Its key, which is claimed while the task is in work.
    pub(super) key: Option<Key>,
    /// Attempts that failed in this process without the broker's knowledge.
    pub(super) failed_here: u32,
}

impl Task {
    pub(super) fn new(delivery: Delivery) -> Self {
        Task { key: delivery.to_key(), delivery, failed_here: 0 }
    }

    /// 1 for the first attempt.
    pub(super) fn attempt(&self) -> u32 {
        self.delivery.attempt().saturating_add(self.failed_here)
    }
}

/// What waits for a handler. A key with an entry in `behind` is claimed: one task of it is ready or in work.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    ready: VecDeque<Task>,
    behind: HashMap<Key, VecDeque<Task>>,
}

impl Lanes {
    /// Takes a message in.
    pub(super) fn push(&mut self, task: Task) {
        match task.key.as_ref().map(|key| self.behind.get_mut(key)) {
            Some(Some(waiting)) => waiting.push_back(task),
            Some(None) => {
                self.behind.extend(task.key.clone().map(|key| (key, VecDeque::new())));
                self.ready.push_back(task);
            }
            None => self.ready.push_back(task),
        }
    }

    /// Gives out the next message. Its key stays claimed until it is [`done`](Self::done).
    pub(super) fn take(&mut self) -> Option<Task> {
        self.ready.pop_front()
    }

    /// Gives out what waits directly behind a message of this key that was given out, for a batch.
    pub(super) fn take_behind(&mut self, key: &Key) -> Option<Task> {
        self.behind.get_mut(key)?.pop_front()
    }

    /// The work on a message of this key has ended: the next one is ready, after the other keys.
    pub(super) fn done(&mut self, key: Option<&Key>) {
        let Some(key) = key else { return };
        match self.behind.get_mut(key).map(VecDeque::pop_front) {
            Some(Some(next)) => self.ready.push_back(next),
            Some(None) => _ = self.behind.remove(key),
            None => {}
        }
    }

    /// Whether a message is ready.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes out everything that waits, in order within each key.
    pub(super) fn clear(&mut self) -> Vec<Task> {
        let mut all: Vec<_> = self.ready.drain(..).collect();
        all.extend(self.behind.values_mut().flat_map(|waiting| waiting.drain(..)));
        all
    }
}
