//! Who consumes from which partition, decided by every member for itself from what the server shows.
//!
//! On quorum queues with a single active consumer AMQP shows the active consumer only, and not which one it is: members
//! that wait cannot be seen, and a member cannot see whether it waits. So nobody waits on a partition that another has.
//! A member takes a partition that nobody consumes from, after taking its lock (see `locks`); that two take it at once
//! is impossible, and if it were not, the single active consumer would still keep them apart. The number of members is
//! the number of consumers of a queue of its own (`…:members`). A member that has more than its share lets the surplus
//! drain and closes those channels, which puts what they held back to the front, in order.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// How often a member looks: a share is in its place some seconds after a join or leave.
const EVERY: Duration = Duration::from_millis(800);

/// A number that nobody can foretell; not for secrets.
pub(crate) fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// When to look next: not at the same time as the other members.
pub(crate) fn next_look() -> Duration {
    EVERY + Duration::from_millis(chance() % 400)
}

/// How many of `partitions` each of `members` has at most.
pub(crate) fn share(partitions: u32, members: u32) -> usize {
    partitions.div_ceil(members.max(1)) as usize
}

/// A partition that we have, as far as sharing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) partition: u32,
    pub(crate) draining: bool,
}

/// Which partitions to give away: those above the share, the highest first.
pub(crate) fn surplus(held: &[Held], share: usize) -> Vec<u32> {
    let staying = held.iter().filter(|h| !h.draining);
    staying.skip(share).map(|h| h.partition).collect()
}

/// The partitions that we do not have, from a place that is not every member's first.
pub(crate) fn candidates(partitions: u32, held: &[Held], start: u64) -> Vec<u32> {
    let start = (start % u64::from(partitions.max(1))) as u32;
    let all = (start..partitions).chain(0..start);
    all.filter(|partition| !held.iter().any(|h| h.partition == *partition)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(partitions: &[u32]) -> Vec<Held> {
        partitions.iter().map(|p| Held { partition: *p, draining: false }).collect()
    }

    #[test]
    fn shares_cover_all_partitions() {
        for members in 1..10 {
            for partitions in 1..20 {
                assert!(share(partitions, members) * members as usize >= partitions as usize);
            }
        }
        assert_eq!(share(6, 0), 6);
    }

    #[test]
    fn only_the_surplus_goes_and_once() {
        assert_eq!(surplus(&held(&[0, 1, 2, 3]), 2), [2, 3]);
        let mut some_go = held(&[0, 1, 2, 3]);
        some_go[3].draining = true;
        assert_eq!(surplus(&some_go, 2), [2]);
        assert!(surplus(&held(&[5]), 2).is_empty());
    }

    #[test]
    fn candidates_are_all_that_we_do_not_have() {
        assert_eq!(candidates(4, &held(&[1]), 2), [2, 3, 0]);
        assert!(candidates(2, &held(&[0, 1]), 7).is_empty());
    }
}
