//! Which messages of a partition are handed out next.

use std::collections::HashSet;

use crate::group::Cursor;
use crate::log::Log;

/// How far is looked past messages whose key is in hand.
const AHEAD: usize = 1_000;

impl Cursor {
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
