//! A consumer group: what it has acknowledged, and who owns which partition.

use std::collections::{BTreeSet, HashMap};

use anybroker_core::kit::Returned;

/// A group's progress in one partition.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    /// Every message before this one is acknowledged.
    pub(crate) done_below: u64,
    /// Acknowledged messages at or after `done_below`.
    done: BTreeSet<u64>,
    /// The next message to hand to the owner.
    pub(crate) next: u64,
    /// How often messages that came back have been delivered.
    attempts: HashMap<u64, u32>,
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
        self.done.insert(offset);
        self.attempts.remove(&offset);
        while self.done.remove(&self.done_below) {
            self.done_below += 1;
        }
    }

    pub(crate) fn is_done(&self, offset: u64) -> bool {
        offset < self.done_below || self.done.contains(&offset)
    }

    pub(crate) fn attempts(&self, offset: u64) -> u32 {
        self.attempts.get(&offset).copied().unwrap_or(0)
    }

    /// The owner lets go: the next one starts with the first message not acknowledged.
    pub(crate) fn let_go(&mut self, returned: &[Returned]) {
        for message in returned.iter().filter(|m| m.attempts > 0) {
            self.attempts.insert(message.native, message.attempts);
        }
        self.owner = None;
        self.next = self.done_below;
    }

    /// Messages before `offset` no longer exist.
    pub(crate) fn trimmed(&mut self, offset: u64) {
        self.done_below = self.done_below.max(offset);
        self.next = self.next.max(self.done_below);
        self.done = self.done.split_off(&self.done_below);
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
        cursor.let_go(&[Returned { native: 1, attempts: 2, held: true }]);
        assert_eq!((cursor.next, cursor.attempts(1), cursor.attempts(0)), (0, 2, 0));
    }
}
