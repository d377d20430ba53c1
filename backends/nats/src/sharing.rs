//! Who consumes from which partition, decided by every member for itself from what the bucket shows.
//!
//! A member takes partitions that nobody has until it has its share, and drains and gives away what is above it. The
//! shares of all members add up to all partitions.

use std::collections::BTreeSet;
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

/// What the bucket showed a moment ago.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) members: BTreeSet<String>,
    /// Partitions that somebody has.
    pub(crate) taken: BTreeSet<u32>,
}

/// The last part of the keys of members begins so.
pub(crate) const MEMBER: &str = "member-";

impl View {
    /// Reads the keys of a group, which begin with `prefix`.
    pub(crate) fn new(keys: &[String], prefix: &str) -> Self {
        let mut view = View::default();
        for key in keys {
            let Some(last) = key.strip_prefix(prefix).and_then(|key| key.strip_prefix('.')) else { continue };
            match (last.strip_prefix(MEMBER), last.parse()) {
                (Some(member), _) => {
                    view.members.insert(member.to_owned());
                }
                (None, Ok(partition)) => {
                    view.taken.insert(partition);
                }
                _ => {}
            }
        }
        view
    }

    /// How many of `partitions` the member has: the first ones have one more where they do not divide evenly.
    pub(crate) fn share(&self, partitions: u32, member: &str) -> usize {
        let others = self.members.iter().filter(|other| *other != member).count();
        let before = self.members.iter().take_while(|other| other.as_str() < member).count();
        let (partitions, members) = (partitions as usize, others + 1);
        partitions / members + usize::from(before < partitions % members)
    }

    /// The partitions that nobody has, from a place that is not every member's first.
    pub(crate) fn free(&self, partitions: u32, start: u64) -> Vec<u32> {
        let start = (start % u64::from(partitions.max(1))) as u32;
        (start..partitions).chain(0..start).filter(|partition| !self.taken.contains(partition)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for members in 1..10 {
            let names: Vec<String> = (0..members).map(|n| format!("m{n}")).collect();
            let view = View { members: names.iter().cloned().collect(), ..View::default() };
            for partitions in 1..20 {
                let shares: usize = names.iter().map(|name| view.share(partitions, name)).sum();
                assert_eq!(shares, partitions as usize);
            }
        }
        assert_eq!(View::default().share(6, "not shown yet"), 6);
    }

    #[test]
    fn keys_tell_members_and_partitions() {
        let keys = ["k.g.member-a", "k.g.0", "k.g.2", "k.gg.1"].map(str::to_owned);
        let view = View::new(&keys, "k.g");
        assert_eq!(view.members.len(), 1);
        assert_eq!(view.free(4, 3), [3, 1]);
    }
}
