//! Keyed lanes: of each key one message is in work, the later ones wait behind it; keys take turns.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use anybroker_core::{Delivery, Key};
use foldhash::fast::RandomState;

use crate::handler::HandlerSettler;
use crate::outputs::Output;

/// A message on its way through the worker.
#[derive(Debug)]
pub(super) struct Task {
    /// The delivery, unsettled.
    pub(super) delivery: Delivery,
    /// Its key, which is claimed while the task is in work.
    pub(super) key: Option<Key>,
    /// Attempts that failed in this process without the broker's knowledge.
    pub(super) failed_here: u32,
    /// It is the first of its key's parked messages, and leaves them when it is done.
    pub(super) parked: bool,
    /// What its handler has published, if that belongs to a transaction.
    pub(super) outputs: Vec<Output>,
}

impl Task {
    pub(super) fn new(delivery: Delivery) -> Self {
        Task { key: delivery.to_key(), delivery, failed_here: 0, parked: false, outputs: Vec::new() }
    }

    /// 1 for the first attempt; to be delivered again for an earlier message's sake is none.
    pub(super) fn attempt(&self) -> u32 {
        self.delivery.failures().saturating_add(self.failed_here).saturating_add(1)
    }

    /// What its handler gets to see.
    pub(super) fn view(&self, settler: &Arc<HandlerSettler>) -> Delivery {
        self.delivery.view(self.attempt(), settler.clone())
    }
}

/// What waits for a handler. A key with a lane is claimed: one task of it is ready, or some are in work together.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    ready: VecDeque<Task>,
    keys: HashMap<Key, Lane, RandomState>,
}

#[derive(Debug)]
struct Lane {
    waiting: VecDeque<Task>,
    /// Tasks of it that are ready or in work.
    out: usize,
}

impl Lane {
    /// Of a key whose first message is ready.
    const FIRST: Self = Lane { waiting: VecDeque::new(), out: 1 };
}

impl Lanes {
    /// Takes a message in.
    pub(super) fn push(&mut self, task: Task) {
        match task.key.as_ref().map(|key| self.keys.get_mut(key)) {
            Some(Some(lane)) => return lane.waiting.push_back(task),
            Some(None) => self.keys.extend(task.key.clone().map(|key| (key, Lane::FIRST))),
            None => {}
        }
        self.ready.push_back(task);
    }

    /// Gives out the next message. Its key stays claimed until it is [`done`](Self::done).
    pub(super) fn take(&mut self) -> Option<Task> {
        self.ready.pop_front()
    }

    /// Gives out what waits directly behind a message of this key that was given out, for a batch.
    pub(super) fn take_behind(&mut self, key: &Key) -> Option<Task> {
        let lane = self.keys.get_mut(key)?;
        let task = lane.waiting.pop_front()?;
        lane.out += 1;
        Some(task)
    }

    /// The work on a message of this key has ended. When it was the last one in work, the next one is ready, after the
    /// other keys.
    pub(super) fn done(&mut self, key: &Key) {
        let Some(lane) = self.keys.get_mut(key) else { return };
        lane.out -= 1;
        if lane.out > 0 {
            return;
        }
        match lane.waiting.pop_front() {
            Some(next) => {
                lane.out = 1;
                self.ready.push_back(next);
            }
            None => _ = self.keys.remove(key),
        }
    }

    /// Whether a message is ready.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes out everything that waits, in order within each key. Keys are in their order, so that a run that is replayed
    /// hands back in the same order.
    pub(super) fn clear(&mut self) -> Vec<Task> {
        let mut all: Vec<_> = self.ready.drain(..).collect();
        let mut lanes: Vec<_> = self.keys.iter_mut().collect();
        lanes.sort_unstable_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
        all.extend(lanes.into_iter().flat_map(|(_, lane)| lane.waiting.drain(..)));
        all
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        drop(self.clear());
    }
}
