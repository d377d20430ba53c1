//! Keyed lanes: of each key one message is in work, the later ones wait behind it; keys take turns.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use anybroker_core::{Delivery, Key};
use foldhash::fast::RandomState;

use super::shelf::{Queue, Shelf};
use crate::handler::HandlerSettler;
use crate::outputs::Output;

/// A message on its way through the worker.
#[derive(Debug)]
pub(super) struct Task {
    /// The delivery, unsettled. Its key is claimed while the task is in work.
    pub(super) delivery: Delivery,
    /// Attempts that failed in this process without the broker's knowledge.
    pub(super) failed_here: u32,
    /// It is the first of its key's parked messages, and leaves them when it is done.
    pub(super) parked: bool,
    /// What its handler has published, if that belongs to a transaction.
    pub(super) outputs: Vec<Output>,
}

impl Task {
    pub(super) fn new(delivery: Delivery) -> Self {
        Task { delivery, failed_here: 0, parked: false, outputs: Vec::new() }
    }

    pub(super) fn key(&self) -> Option<&[u8]> {
        self.delivery.key()
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
    /// As received. Whether their keys are claimed is looked at when they are given out.
    arrived: VecDeque<Task>,
    tasks: Shelf<Task>,
    /// The first of claimed keys, before what has arrived since.
    ready: Queue,
    keys: HashMap<Key, Lane, RandomState>,
    /// How many portions were given out.
    portions: u64,
    /// Somebody was woken up for what is ready, and has not looked yet.
    woken: bool,
}

#[derive(Debug)]
struct Lane {
    waiting: Queue,
    /// Tasks of it that are ready or in work.
    out: usize,
    /// Of which portion those in work are.
    portion: u64,
}

impl Lane {
    fn claimed(portion: u64) -> Self {
        Lane { waiting: Queue::default(), out: 1, portion }
    }
}

impl Lanes {
    /// Takes messages in.
    pub(super) fn push(&mut self, tasks: impl IntoIterator<Item = Task>) {
        self.arrived.extend(tasks);
    }

    /// Gives out the next message. Its key stays claimed until it is [`done`](Self::done).
    pub(super) fn take(&mut self) -> Option<Task> {
        self.sort();
        self.take_ready()
    }

    /// Puts what has arrived into the lanes of its keys, for batches: they take a key's messages together.
    fn sort(&mut self) {
        while let Some(task) = self.arrived.pop_front() {
            match task.key().and_then(|key| self.keys.get_mut(key)) {
                Some(lane) => self.tasks.push_back(&mut lane.waiting, task),
                None => {
                    self.claim(&task);
                    self.tasks.push_back(&mut self.ready, task);
                }
            }
        }
    }

    /// Gives out up to `most` messages, to be handled one after the other: so they may be of the same keys.
    pub(super) fn take_portion(&mut self, most: usize, into: &mut VecDeque<Task>) {
        self.portions += 1;
        while into.len() < most
            && let Some(task) = self.take_ready()
        {
            into.push_back(task);
        }
        let mut at = 0;
        while into.len() < most && at < into.len() {
            let behind = into[at].key().and_then(|key| self.behind(key));
            into.extend(behind);
            at += 1;
        }
        self.take_arrived(most, into);
    }

    fn take_ready(&mut self) -> Option<Task> {
        let task = self.tasks.pop_front(&mut self.ready)?;
        if let Some(lane) = task.key().and_then(|key| self.keys.get_mut(key)) {
            lane.portion = self.portions;
        }
        Some(task)
    }

    /// What is of a key that others work on waits behind it.
    fn take_arrived(&mut self, most: usize, into: &mut VecDeque<Task>) {
        // Looked at where they lie, and moved once.
        let mut free = 0;
        while into.len() + free < most
            && let Some(task) = self.arrived.get(free)
        {
            match task.key().and_then(|key| self.keys.get_mut(key)) {
                None => {
                    self.keys.extend(task.delivery.to_key().map(|key| (key, Lane::claimed(self.portions))))
                }
                Some(lane) if lane.portion == self.portions && lane.waiting.is_empty() => lane.out += 1,
                Some(lane) => {
                    into.extend(self.arrived.drain(..free));
                    free = 0;
                    let behind = self.arrived.pop_front();
                    behind.into_iter().for_each(|task| self.tasks.push_back(&mut lane.waiting, task));
                    continue;
                }
            }
            free += 1;
        }
        match into.is_empty() && free == self.arrived.len() {
            true => std::mem::swap(into, &mut self.arrived),
            false => into.extend(self.arrived.drain(..free)),
        }
    }

    /// Its key was nobody's, and is now.
    fn claim(&mut self, task: &Task) {
        if let Some(key) = task.delivery.to_key() {
            self.keys.insert(key, Lane::claimed(self.portions));
        }
    }

    /// Takes back what was given out last and has not begun.
    pub(super) fn put_back(&mut self, task: Task) {
        let lane = task.key().and_then(|key| self.keys.get_mut(key));
        match lane.filter(|lane| lane.out > 1) {
            Some(lane) => {
                lane.out -= 1;
                self.tasks.push_front(&mut lane.waiting, task);
            }
            None => self.tasks.push_front(&mut self.ready, task),
        }
    }

    /// Gives out what waits directly behind a message of this key that was given out.
    pub(super) fn take_behind(&mut self, key: &[u8]) -> Option<Task> {
        self.sort();
        self.behind(key)
    }

    fn behind(&mut self, key: &[u8]) -> Option<Task> {
        let lane = self.keys.get_mut(key)?;
        let task = self.tasks.pop_front(&mut lane.waiting)?;
        lane.out += 1;
        Some(task)
    }

    /// The work on a message of this key has ended. When it was the last one in work, the next one is ready, after the
    /// other keys.
    pub(super) fn done(&mut self, key: &[u8]) {
        let Some(lane) = self.keys.get_mut(key) else { return };
        lane.out -= 1;
        if lane.out > 0 {
            return;
        }
        match self.tasks.pop_front(&mut lane.waiting) {
            Some(next) => {
                lane.out = 1;
                self.tasks.push_back(&mut self.ready, next);
            }
            None => _ = self.keys.remove(key),
        }
    }

    /// Whether a message is ready; of what has arrived it is not known.
    fn is_ready(&self) -> bool {
        !self.ready.is_empty() || !self.arrived.is_empty()
    }

    /// Whether somebody is to be woken up: a message is ready, and nobody is on the way already.
    pub(super) fn wakes(&mut self) -> bool {
        let wakes = self.is_ready() && !self.woken;
        self.woken |= wakes;
        wakes
    }

    /// Who was woken up looks.
    pub(super) fn looks(&mut self) {
        self.woken = false;
    }

    /// Takes out everything that waits, in order within each key. Keys are in their order, so that a run that is replayed
    /// hands back in the same order.
    pub(super) fn clear(&mut self) -> Vec<Task> {
        let tasks = &mut self.tasks;
        let mut all: Vec<_> = std::iter::from_fn(|| tasks.pop_front(&mut self.ready)).collect();
        let mut lanes: Vec<_> = self.keys.iter_mut().collect();
        lanes.sort_unstable_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
        for (_, lane) in lanes {
            all.extend(std::iter::from_fn(|| tasks.pop_front(&mut lane.waiting)));
        }
        all.extend(self.arrived.drain(..));
        all
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        drop(self.clear());
    }
}
