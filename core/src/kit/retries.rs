//! Messages to deliver again, by key: the head waits for its delay, the later ones of the key wait behind it.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use crate::message::Key;

/// The messages of one key that wait behind a failed one, each with the time that it waits for itself. Sequences rise
/// from front to back.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<(u64, Instant)>,
    /// The key waits for a message that is on its way to the dead letter topic.
    parked: bool,
}

impl Lane {
    fn due(&self) -> Option<Instant> {
        self.waiting.front().filter(|_| !self.parked).map(|(_, due)| *due)
    }
}

#[derive(Debug, Default)]
pub(super) struct Retries {
    keyed: HashMap<Key, Lane>,
    /// Messages without a key wait for nobody.
    keyless: Vec<(Instant, u64)>,
}

impl Retries {
    /// Puts a failed message, which is due at `due`, and the later ones of its key (in rising order), which wait only for
    /// it, into their lane: in front, unless an earlier one waits there already, which came back while this one was being
    /// acknowledged in vain.
    pub(super) fn put_back(&mut self, key: Option<Key>, due: Instant, now: Instant, sequences: &[u64]) {
        let Some(key) = key else {
            self.keyless.extend(sequences.iter().map(|sequence| (due, *sequence)));
            return;
        };
        let lane = self.keyed.entry(key).or_default();
        lane.parked = false;
        for (at, sequence) in sequences.iter().enumerate().rev() {
            let place = lane.waiting.partition_point(|(waiting, _)| waiting < sequence);
            lane.waiting.insert(place, (*sequence, if at == 0 { due } else { now }));
        }
    }

    /// Queues a message not handed out yet behind its key's failed ones; says whether there were any. Its key is looked at only
    /// where some have failed: it may be far away in memory.
    pub(super) fn queue_behind<'a>(
        &mut self,
        key: impl FnOnce() -> Option<&'a [u8]>,
        sequence: u64,
        now: Instant,
    ) -> bool {
        if self.keyed.is_empty() {
            return false;
        }
        let lane = key().and_then(|key| self.keyed.get_mut(key));
        lane.map(|lane| lane.waiting.push_back((sequence, now))).is_some()
    }

    /// Lets the key wait until [`unpark`](Self::unpark), or until its message is put back.
    pub(super) fn park(&mut self, key: Key) {
        self.keyed.entry(key).or_default().parked = true;
    }

    pub(super) fn unpark(&mut self, key: &[u8]) {
        if let Some(lane) = self.keyed.get_mut(key) {
            lane.parked = false;
            if lane.waiting.is_empty() {
                self.keyed.remove(key);
            }
        }
    }

    /// Forgets a message that is nothing of ours any more, and with it that its key waits for it.
    pub(super) fn forget(&mut self, key: Option<&[u8]>, sequence: u64) {
        let Some(key) = key else { return self.keyless.retain(|(_, waiting)| *waiting != sequence) };
        if let Some(lane) = self.keyed.get_mut(key) {
            lane.waiting.retain(|(waiting, _)| *waiting != sequence);
        }
        self.unpark(key);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keyed.is_empty() && self.keyless.is_empty()
    }

    /// Takes the earliest message that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let due = self.keyed.iter().filter(|(_, lane)| lane.due().is_some_and(|due| due <= now));
        let keyed = due.filter_map(|(key, lane)| Some((lane.waiting.front()?.0, key.clone())));
        let keyed = keyed.min_by_key(|(sequence, _)| *sequence);
        let keyless = self.keyless.iter().enumerate().filter(|(_, (due, _))| *due <= now);
        let keyless =
            keyless.min_by_key(|(_, (_, sequence))| *sequence).map(|(at, (_, sequence))| (at, *sequence));
        match (keyed, keyless) {
            (Some((sequence, key)), other) if other.is_none_or(|(_, o)| sequence < o) => {
                let lane = self.keyed.get_mut(&key)?;
                lane.waiting.pop_front();
                if lane.waiting.is_empty() {
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
        if self.is_empty() {
            return None;
        }
        self.keyed.values().filter_map(Lane::due).chain(self.keyless.iter().map(|(due, _)| *due)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_comes_back_later_waits_behind_an_earlier_one_of_its_key() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        let key = || Some(Key::from("k"));
        let due = now + std::time::Duration::from_millis(20);
        retries.put_back(key(), due, now, &[3]);
        retries.put_back(key(), now, now, &[7]);
        assert_eq!(retries.take_due(now), None);
        assert_eq!((retries.take_due(due), retries.take_due(due)), (Some(3), Some(7)));
    }
}
