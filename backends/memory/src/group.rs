//! A consumer group: what it has acknowledged, and who owns which partition.

use std::collections::{BTreeSet, HashMap};

use anybroker_core::kit::{AckPlan, Returned};

use crate::semantics::Marks;

/// A group's progress in one partition.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    /// Every message before this one is acknowledged.
    pub(crate) done_below: u64,
    /// Acknowledged messages at or after `done_below`.
    done: BTreeSet<u64>,
    /// Acknowledgements that were answered, and that the broker may still forget.
    pub(crate) answered: Vec<u64>,
    /// The next message to hand to the owner.
    pub(crate) next: u64,
    /// Messages before `next` that were passed over, as an earlier one of their key is in hand.
    pub(crate) passed: BTreeSet<u64>,
    /// How often messages that came back have been delivered.
    attempts: HashMap<u64, u32>,
    /// Whatever was given out before came before this one.
    seen: u64,
    pub(crate) owner: Option<u64>,
}

impl Cursor {
    pub(crate) fn at(offset: u64) -> Self {
        Cursor { done_below: offset, next: offset, ..Self::default() }
    }

    pub(crate) fn acknowledge(&mut self, offset: u64) {
        if offset < self.done_below {
            return;
        }
        if !self.attempts.is_empty() {
            self.attempts.remove(&offset);
        }
        if offset > self.done_below {
            self.done.insert(offset);
            return;
        }
        self.done_below += 1;
        while self.done.remove(&self.done_below) {
            self.done_below += 1;
        }
    }

    /// Takes what a session gives out as acknowledged.
    pub(crate) fn acknowledge_all(&mut self, plan: &AckPlan) {
        if let Some(upto) = plan.upto {
            (self.done_below..=upto).for_each(|offset| self.acknowledge(offset));
        }
        plan.singles.iter().for_each(|offset| self.acknowledge(*offset));
    }

    pub(crate) fn is_done(&self, offset: u64) -> bool {
        offset < self.done_below || self.done.contains(&offset)
    }

    pub(crate) fn attempts(&self, offset: u64) -> u32 {
        self.attempts.get(&offset).copied().unwrap_or(0)
    }

    /// Whether an owner before may have given it out.
    pub(crate) fn was_seen(&self, offset: u64) -> bool {
        offset < self.seen || self.attempts(offset) > 0
    }

    /// The owner lets go: the next one starts with the first message not acknowledged.
    pub(crate) fn let_go(&mut self, returned: &[Returned], marks: Marks) {
        match marks {
            Marks::Attempts => self.keep_attempts(returned),
            Marks::Head => {
                self.attempts.clear();
                let last = returned.iter().rfind(|message| message.attempts > 0);
                self.seen = self.seen.max(last.map_or(0, |last| last.native + 1));
                let head = returned.first().filter(|message| message.native == self.done_below);
                self.keep_attempts(head.map_or(&[], std::slice::from_ref));
            }
            Marks::Nothing => {}
            Marks::Returns => {
                // Also what was acknowledged and never told.
                for offset in self.done_below..self.next {
                    if !self.done.contains(&offset) && !self.passed.contains(&offset) {
                        *self.attempts.entry(offset).or_default() += 1;
                    }
                }
            }
        }
        self.owner = None;
        self.next = self.done_below;
        self.passed.clear();
        self.answered.clear();
    }

    fn keep_attempts(&mut self, returned: &[Returned]) {
        for message in returned.iter().filter(|m| m.attempts > 0) {
            self.attempts.insert(message.native, message.attempts);
        }
    }

    /// Messages before `offset` no longer exist.
    pub(crate) fn trimmed(&mut self, offset: u64) {
        self.done_below = self.done_below.max(offset);
        self.next = self.next.max(self.done_below);
        self.done = self.done.split_off(&self.done_below);
        self.passed = self.passed.split_off(&self.done_below);
    }

    pub(crate) fn backlog(&self, end: u64) -> u64 {
        end - self.done_below - self.done.len() as u64
    }
}

#[derive(Debug, Default)]
pub(crate) struct GroupState {
    pub(crate) cursors: Vec<Cursor>,
    /// In order of joining.
    pub(crate) members: Vec<u64>,
}

impl GroupState {
    /// Who ought to own a partition: the members take turns.
    pub(crate) fn target(&self, partition: usize) -> Option<u64> {
        let members = self.members.len();
        (members > 0).then(|| self.members[partition % members])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledged_out_of_order() {
        let mut cursor = Cursor::at(0);
        [2, 0, 4].iter().for_each(|offset| cursor.acknowledge(*offset));
        assert_eq!((cursor.done_below, cursor.is_done(2), cursor.is_done(3)), (1, true, false));
        assert_eq!(cursor.backlog(5), 2);
        cursor.acknowledge(1);
        assert_eq!(cursor.done_below, 3);
    }

    #[test]
    fn what_comes_back_keeps_its_attempts() {
        let mut cursor = Cursor::at(0);
        cursor.next = 3;
        cursor.let_go(&[Returned { native: 1, attempts: 2, held: true }], Marks::Attempts);
        assert_eq!((cursor.next, cursor.attempts(1), cursor.attempts(0)), (0, 2, 0));
    }

    #[test]
    fn other_brokers_keep_less() {
        let returned = [1, 2].map(|native| Returned { native, attempts: 3, held: true });
        let mut cursor = Cursor::at(1);
        cursor.let_go(&returned, Marks::Head);
        assert_eq!((cursor.attempts(1), cursor.attempts(2)), (3, 0));
        assert!(cursor.was_seen(2) && !cursor.was_seen(3));
        let mut cursor = Cursor { next: 3, ..Cursor::at(1) };
        cursor.acknowledge(2);
        cursor.let_go(&returned[..1], Marks::Returns);
        assert_eq!((cursor.attempts(1), cursor.attempts(2)), (1, 0));
        let mut cursor = Cursor::at(1);
        cursor.let_go(&returned, Marks::Nothing);
        assert!(!cursor.was_seen(1));
    }

    #[test]
    fn acknowledged_up_to_one_and_singly() {
        let mut cursor = Cursor::at(0);
        cursor.acknowledge_all(&AckPlan { upto: Some(2), singles: vec![4] });
        assert_eq!((cursor.done_below, cursor.is_done(3), cursor.is_done(4)), (3, false, true));
    }
}
