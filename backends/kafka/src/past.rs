//! What a session remembers of a partition that it lost. If nobody else had it before it comes back, the session goes
//! on from there and delivers nothing again that was acknowledged, though the last commits never arrived.

use std::collections::BTreeMap;

use anybroker_core::kit::Returned;

use crate::attempts::{Mark, Owner};

/// What was done of a partition, and what was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    /// Messages before this offset have been in the session.
    position: u64,
    /// Those of them that are not done, and how often they were tried.
    open: BTreeMap<u64, u32>,
    /// What was committed, or was to be, if the partition was let go in good order.
    closed: Option<Mark>,
}

impl Past {
    /// The partition goes while the session stands at `position` and gets `returned` back. What it had not read again
    /// since the last time stays as it was. Losing a message in the application's hands is no failed attempt.
    pub(crate) fn lose(&mut self, position: u64, returned: &[Returned], closed: Option<Mark>) {
        let unread = self.open.split_off(&position);
        let tried = |r: &Returned| r.attempts.saturating_sub(u32::from(r.held));
        self.open = returned.iter().map(|r| (r.native, tried(r))).chain(unread).collect();
        self.position = self.position.max(position);
        self.closed = closed;
    }

    /// Where the session goes on, now that the group says `committed`: after its own contiguous prefix. None if somebody
    /// else has had the partition: whoever takes it over commits under his own name before he reads.
    pub(crate) fn resume(&self, committed: Mark, owner: Owner) -> Option<Mark> {
        let offset = self.open.keys().next().copied().unwrap_or(self.position);
        let ours = committed.open == Some(owner) || self.closed == Some(committed);
        if !ours || committed.offset > offset {
            return None;
        }
        let known = if committed.offset == offset { committed.attempts } else { 0 };
        let attempts = self.attempts(offset).unwrap_or(known);
        Some(Mark { offset, attempts, seen: committed.seen.max(self.position), open: Some(owner) })
    }

    /// The first offset from this one on that is not done.
    pub(crate) fn skip(&self, offset: u64) -> u64 {
        let open = self.open.range(offset..).next().map(|(offset, _)| *offset);
        open.unwrap_or(self.position).max(offset)
    }

    /// How often a message was tried in this session, if it knows.
    pub(crate) fn attempts(&self, offset: u64) -> Option<u32> {
        self.open.get(&offset).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returned(native: u64, attempts: u32, held: bool) -> Returned {
        Returned { native, attempts, held }
    }

    /// Lost at 20: 10 was tried twice, 12 is in hand, 15 was never handed out, the rest is done.
    fn lost() -> Past {
        let mut past = Past::default();
        past.lose(20, &[returned(10, 2, false), returned(12, 1, true), returned(15, 0, false)], None);
        past
    }

    fn mark(offset: u64, open: Option<Owner>) -> Mark {
        Mark { offset, attempts: 7, seen: offset, open }
    }

    #[test]
    fn what_nobody_else_had_goes_on_after_its_own_prefix() {
        let (me, past) = (Owner::new(), lost());
        let begin = Mark { offset: 10, attempts: 2, seen: 20, open: Some(me) };
        assert_eq!(past.resume(mark(4, Some(me)), me), Some(begin));
        assert_eq!(past.resume(mark(10, Some(me)), me), Some(begin), "the commit counts the one in hand");
        let open: Vec<_> = (10..25).filter(|offset| past.skip(*offset) == *offset).collect();
        assert_eq!(open, [10, 12, 15, 20, 21, 22, 23, 24]);
        assert_eq!([10, 12, 15, 20].map(|o| past.attempts(o)), [Some(2), Some(0), Some(0), None]);
    }

    #[test]
    fn what_somebody_else_had_begins_where_he_left_it() {
        let (me, other, past) = (Owner::new(), Owner::new(), lost());
        assert_eq!(past.resume(mark(4, Some(other)), me), None, "he has it or died with it");
        assert_eq!(past.resume(mark(4, None), me), None, "he closed it, or it is no mark at all");
        assert_eq!(past.resume(mark(11, Some(me)), me), None, "the group was moved");
    }

    #[test]
    fn what_we_closed_ourselves_is_still_ours() {
        let (me, closed) = (Owner::new(), mark(10, None));
        let mut past = lost();
        past.lose(20, &[returned(10, 2, false)], Some(closed));
        assert_eq!(past.resume(closed, me).map(|m| m.offset), Some(10));
        assert_eq!(past.resume(mark(4, Some(me)), me).map(|m| m.offset), Some(10), "the last commit failed");
        assert_eq!(past.resume(mark(9, None), me), None);
    }

    #[test]
    fn when_everything_is_done_the_attempts_of_the_next_message_are_the_commits() {
        let me = Owner::new();
        let mut past = Past::default();
        past.lose(20, &[], None);
        assert_eq!(past.resume(mark(20, Some(me)), me).map(|m| (m.offset, m.attempts)), Some((20, 7)));
        assert_eq!(past.resume(mark(19, Some(me)), me).map(|m| (m.offset, m.attempts)), Some((20, 0)));
    }

    #[test]
    fn lost_again_before_everything_was_read_again_nothing_is_forgotten() {
        let mut past = lost();
        // 10 was done, 12 failed once; 15 was not reached.
        past.lose(13, &[returned(12, 1, false)], None);
        let open: Vec<_> = (10..25).filter(|offset| past.skip(*offset) == *offset).collect();
        assert_eq!(open, [12, 15, 20, 21, 22, 23, 24]);
        assert_eq!(past.attempts(12), Some(1));
    }
}
