//! Up to where the order of events will not change any more.
//!
//! Positions are drawn when an event is inserted and become visible when its transaction commits: a gap may still be
//! filled. A writer holds a lock that all writers share from before it draws until after it is visible. So, at a gap: look
//! which was the last visible position, then who holds the lock. When those holders are gone, whatever is missing up
//! to that position was rolled back. Writers who come later draw later positions: nobody waits for them, nor for
//! transactions that write no events, however long they run.

use super::store::Look;

/// Prepared transactions are called so, and their transaction's id.
const PREPARED: &str = "-1/";

#[derive(Clone, Debug, Default)]
pub(crate) struct Horizon {
    settled: u64,
    waiting: Option<Look>,
}

impl Horizon {
    /// Every gap up to here will stay one.
    pub(crate) fn settled(&self) -> u64 {
        self.settled
    }

    /// Whether somebody's transaction is waited for.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// How many of the positions after a cursor, of which those beyond `settled` are complete, may be handed out.
    pub(crate) fn ready(&self, cursor: u64, positions: impl Iterator<Item = u64>) -> usize {
        let mut next = cursor.max(self.settled) + 1;
        positions
            .take_while(|&position| {
                let ready = position <= self.settled || position == next;
                next += u64::from(position == next);
                ready
            })
            .count()
    }

    /// Takes in who is writing now, for a position that is missing; true if more is settled than before.
    pub(crate) fn look(&mut self, missing: u64, look: Look) -> bool {
        let waiting = match self.waiting.take() {
            Some(earlier) if earlier.newest >= missing => earlier.still(look),
            _ => look,
        };
        if !waiting.writers.is_empty() {
            self.waiting = Some(waiting);
            return false;
        }
        let more = waiting.newest > self.settled;
        self.settled = self.settled.max(waiting.newest);
        more
    }
}

impl Look {
    /// Those of its writers that are there still. One that is prepared for a two-phase commit changes its name: while one is
    /// missing that could have, every prepared one may be it.
    fn still(self, now: Look) -> Look {
        let renamed = self.writers.iter().any(|writer| !writer.starts_with(PREPARED));
        let mut writers = now.writers;
        writers.retain(|writer| self.writers.contains(writer) || (renamed && writer.starts_with(PREPARED)));
        Look { newest: self.newest, writers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(newest: u64, writers: &[&str]) -> Look {
        Look { newest, writers: writers.iter().map(|writer| writer.to_string()).collect() }
    }

    #[test]
    fn only_what_follows_without_a_gap_is_ready() {
        let mut horizon = Horizon::default();
        assert_eq!(horizon.ready(0, [1, 2, 4].into_iter()), 2);
        assert_eq!(horizon.ready(0, [2].into_iter()), 0);
        assert!(horizon.look(3, look(4, &[])));
        assert_eq!(horizon.ready(2, [4, 5, 7].into_iter()), 2);
        assert_eq!(horizon.ready(0, [2, 4, 5].into_iter()), 3);
        assert_eq!(horizon.ready(2, [5].into_iter()), 1, "a filter leaves out what is settled");
        assert_eq!(horizon.ready(9, [10, 12].into_iter()), 1);
    }

    #[test]
    fn the_writers_of_the_first_look_are_waited_for_and_no_later_ones() {
        let mut horizon = Horizon::default();
        assert!(!horizon.look(3, look(4, &["3/7", "4/1"])));
        assert!(!horizon.look(3, look(9, &["4/1", "5/5"])));
        assert!(horizon.is_waiting());
        assert!(horizon.look(3, look(12, &["5/5", "4/2"])));
        assert_eq!((horizon.settled(), horizon.is_waiting()), (4, false));
    }

    #[test]
    fn a_gap_beyond_the_first_look_has_writers_of_its_own() {
        let mut horizon = Horizon::default();
        horizon.look(3, look(4, &["3/7"]));
        assert!(!horizon.look(8, look(9, &["3/7", "5/5"])));
        assert!(!horizon.look(8, look(12, &["5/5"])), "5/5 may have drawn 8");
        assert!(horizon.look(8, look(13, &["6/1"])));
        assert_eq!(horizon.settled(), 9);
    }

    #[test]
    fn a_writer_that_was_prepared_is_waited_for_under_its_new_name() {
        let mut horizon = Horizon::default();
        horizon.look(3, look(4, &["3/7"]));
        assert!(!horizon.look(3, look(5, &["-1/801", "4/1"])), "3/7 may be 801 now");
        assert!(horizon.look(3, look(6, &["-1/802"])), "802 is none of the first ones");
    }
}
