//! What a commit says besides the offset: how often the first message has been handed out, and whether the session
//! that committed it ended in good order. It is what survives a process that a message kills.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};

/// Goes with a committed offset, in the commit's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The committed offset: the first message that is not done.
    pub(crate) offset: u64,
    /// How often that message has been handed out.
    pub(crate) attempts: u32,
    /// Messages before this offset may have been handed out.
    pub(crate) seen: u64,
    /// The session that committed it, if it has not ended, or has ended without saying so.
    pub(crate) open: Option<Owner>,
}

/// Tells one consumer from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u64);

impl Owner {
    /// A new one.
    pub(crate) fn new() -> Self {
        Owner(RandomState::new().build_hasher().finish())
    }
}

const PREFIX: &str = "anybroker:1";

impl Mark {
    /// The mark in a commit's metadata. None if there is none, if it is somebody else's, or if it belongs to another
    /// offset: somebody has moved the group since.
    pub(crate) fn read(metadata: &str, offset: u64) -> Option<Self> {
        let mut parts = metadata.split(';');
        if parts.next() != Some(PREFIX) {
            return None;
        }
        let open = match parts.next()? {
            "closed" => None,
            other => Some(Owner(u64::from_str_radix(other.strip_prefix("open=")?, 16).ok()?)),
        };
        let mut number = |name: &str| parts.next()?.strip_prefix(name)?.parse::<u64>().ok();
        let (head, attempts, seen) = (number("head=")?, number("attempts=")?, number("seen=")?);
        let attempts = attempts.min(u32::MAX as u64) as u32;
        (head == offset).then_some(Mark { offset, attempts, seen, open })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mark { offset, attempts, seen, open } = self;
        match open {
            Some(Owner(owner)) => write!(f, "{PREFIX};open={owner:x};")?,
            None => write!(f, "{PREFIX};closed;")?,
        }
        write!(f, "head={offset};attempts={attempts};seen={seen}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        for open in [Some(Owner::new()), None] {
            let mark = Mark { offset: 7, attempts: 3, seen: 9, open };
            assert_eq!(Mark::read(&mark.to_string(), 7), Some(mark));
        }
    }

    #[test]
    fn foreign_and_outdated_metadata_says_nothing() {
        let mark = Mark { offset: 7, attempts: 3, seen: 9, open: Some(Owner::new()) }.to_string();
        assert_eq!(Mark::read(&mark, 8), None);
        for foreign in
            ["", "anybroker:2;closed;head=7;attempts=1;seen=7", "anybroker:1;closed;head=7", "AQAAAX"]
        {
            assert_eq!(Mark::read(foreign, 7), None, "{foreign}");
        }
    }
}
