//! Which messages of a partition are handed out next.

use std::collections::HashSet;

use crate::group::Cursor;
use crate::log::Log;

/// How far is looked past messages whose key is in hand.
const AHEAD: usize = 1_000;

impl Cursor {
    /// Whether there is anything that was not handed out.
    pub(crate) fn has_more(&self, log: &Log) -> bool {
        self.next < log.end() || !self.passed.is_empty()
    }

    /// The next ones in their order.
    pub(crate) fn due(&mut self, log: &Log, most: usize) -> Vec<u64> {
        let mut due = Vec::new();
        while due.len() < most && self.next < log.end() {
            if !self.is_done(self.next) {
                due.push(self.next);
            }
            self.next += 1;
        }
        due
    }

    /// The next ones of keys of which nothing is in hand.
    pub(crate) fn due_by_key(&mut self, log: &Log, most: usize) -> Vec<u64> {
        let key = |offset: u64| log.get(offset).and_then(|stored| stored.record.key());
        let in_hand = |offset: &u64| !self.is_done(*offset) && !self.passed.contains(offset);
        let held: HashSet<_> = (self.done_below..self.next).filter(in_hand).filter_map(key).collect();
        let is_free = |offset: &u64| key(*offset).is_none_or(|key| !held.contains(key));
        let mut due: Vec<_> = self.passed.iter().copied().filter(is_free).take(most).collect();
        due.iter().for_each(|offset| _ = self.passed.remove(offset));
        while due.len() < most && self.next < log.end() && self.passed.len() < AHEAD {
            let offset = self.next;
            self.next += 1;
            match is_free(&offset) {
                _ if self.is_done(offset) => {}
                true => due.push(offset),
                false => _ = self.passed.insert(offset),
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use anybroker_core::{Message, RecordBuffer};

    use super::*;
    use crate::log::Stored;

    fn log(keys: &[&'static str]) -> Log {
        let (mut log, mut buffer) = (Log::default(), RecordBuffer::default());
        for key in keys {
            let record = buffer.encode(&Message::new("payload").with_key(*key));
            log.append(Stored { record, time: 0 });
        }
        log
    }

    #[test]
    fn what_is_done_is_left_out() {
        let mut cursor = Cursor::at(0);
        cursor.acknowledge(1);
        assert_eq!(cursor.due(&log(&["a", "a", "a"]), 2), [0, 2]);
    }

    #[test]
    fn later_ones_of_a_key_wait_for_those_in_hand() {
        let log = log(&["a", "a", "a", "b", "a"]);
        let mut cursor = Cursor::at(0);
        assert_eq!(cursor.due_by_key(&log, 2), [0, 1]);
        assert_eq!(cursor.due_by_key(&log, 10), [3]);
        cursor.acknowledge(0);
        assert_eq!(cursor.due_by_key(&log, 10), [0; 0]);
        cursor.acknowledge(1);
        assert_eq!(cursor.due_by_key(&log, 10), [2, 4]);
    }
}
