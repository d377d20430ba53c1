//! Messages to deliver again, by key: the head waits for its delay, the later ones of the key wait behind it.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use crate::message::Key;

/// The messages of one key that wait behind a failed one. Sequences rise from front to back.
#[derive(Debug)]
struct Lane {
    due: Instant,
    sequences: VecDeque<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Retries {
    keyed: HashMap<Key, Lane>,
    /// Messages without a key wait for nobody.
    keyless: Vec<(Instant, u64)>,
}

impl Retries {
    /// Puts a failed message and the later ones of its key (in rising order) in front of its lane.
    pub(super) fn put_back(&mut self, key: Option<Key>, due: Instant, sequences: &[u64]) {
        let Some(key) = key else {
            self.keyless.extend(sequences.iter().map(|sequence| (due, *sequence)));
            return;
        };
        let lane = self.keyed.entry(key).or_insert(Lane { due, sequences: VecDeque::new() });
        lane.due = due;
        sequences.iter().rev().for_each(|sequence| lane.sequences.push_front(*sequence));
    }

    /// Queues a message not handed out yet behind its key's failed ones; says whether there were any.
    pub(super) fn queue_behind(&mut self, key: Option<&[u8]>, sequence: u64) -> bool {
        if self.keyed.is_empty() {
            return false;
        }
        let lane = key.and_then(|key| self.keyed.get_mut(key));
        lane.map(|lane| lane.sequences.push_back(sequence)).is_some()
    }

    /// Takes the earliest message that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<u64> {
        let keyed = self.keyed.iter().filter(|(_, lane)| lane.due <= now);
        let keyed = keyed.filter_map(|(key, lane)| Some((*lane.sequences.front()?, key.clone())));
        let keyed = keyed.min_by_key(|(sequence, _)| *sequence);
        let keyless = self.keyless.iter().enumerate().filter(|(_, (due, _))| *due <= now);
        let keyless =
            keyless.min_by_key(|(_, (_, sequence))| *sequence).map(|(at, (_, sequence))| (at, *sequence));
        match (keyed, keyless) {
            (Some((sequence, key)), other) if other.is_none_or(|(_, o)| sequence < o) => {
                let lane = self.keyed.get_mut(&key)?;
                lane.sequences.pop_front();
                if lane.sequences.is_empty() {
                    self.keyed.remove(&key);
                }
                Some(sequence)
            }
            (_, Some((at, sequence))) => {
                self.keyless.swap_remove(at);
                Some(sequence)
            }
            _ => None,
        }
    }

    /// When the next message falls due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.keyed.values().map(|lane| lane.due).chain(self.keyless.iter().map(|(due, _)| *due)).min()
    }
}
