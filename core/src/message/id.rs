//! Message identity.

use std::cell::Cell;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use bytestring::ByteString;
use uuid::Uuid;

/// Identifies a message for ever: the deduplication id, and CloudEvents' `id`.
///
/// New messages get a UUID v7: the time, then 73 random bits, which each thread draws anew for each millisecond and counts up
/// within it; never a process id. So the ids that a thread makes rise. Messages of other producers keep whatever text they carry.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageId {
    /// A UUID, the usual form.
    Uuid(Uuid),
    /// Any other text.
    Text(ByteString),
}

impl MessageId {
    /// A new, unique id (UUID v7).
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (millis, tail) = LAST.with(|last| {
            let (before, tail) = last.get();
            let now = since.as_millis() as u64;
            // A clock that is set back changes nothing: the time stays until it has caught up.
            last.set(if now > before { (now, random_tail()) } else { (before, tail + 1) });
            last.get()
        });
        MessageId::Uuid(Uuid::from_u128(u128::from(millis) << 80 | VERSION_7 | tail))
    }
}

thread_local! {
    /// The last id that this thread has made: its milliseconds since 1970, and what follows the version.
    static LAST: Cell<(u64, u128)> = const { Cell::new((0, 0)) };
}

const VERSION_7: u128 = 7 << 76;

/// What follows the version: a v4 has random bits and the variant in the same places. One bit is left for counting up.
fn random_tail() -> u128 {
    Uuid::new_v4().as_u128() & ((1 << 76) - 1) & !(1 << 61)
}

impl Default for MessageId {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&str> for MessageId {
    fn from(text: &str) -> Self {
        // Only the canonical form becomes a UUID, so that every id is written back as it was read.
        match Uuid::try_parse(text) {
            Ok(uuid) if text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase()) => {
                MessageId::Uuid(uuid)
            }
            _ => MessageId::Text(text.into()),
        }
    }
}

impl From<String> for MessageId {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<Uuid> for MessageId {
    fn from(uuid: Uuid) -> Self {
        MessageId::Uuid(uuid)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageId::Uuid(uuid) => uuid.fmt(f),
            MessageId::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn new() -> Uuid {
        match MessageId::new() {
            MessageId::Uuid(uuid) => uuid,
            MessageId::Text(text) => panic!("{text}"),
        }
    }

    #[test]
    fn new_ids_rise_and_say_the_time() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let ids: Vec<_> = (0..10_000).map(|_| new()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        for id in ids {
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
            let (seconds, _) = id.get_timestamp().unwrap().to_unix();
            assert!((before..before + 60).contains(&seconds));
        }
    }

    #[test]
    fn threads_make_different_ids_at_the_same_time() {
        let threads = || std::thread::spawn(|| (0..10_000).map(|_| new()).collect::<Vec<_>>());
        let threads: Vec<_> = std::iter::repeat_with(threads).take(4).collect();
        let ids: HashSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.len(), 40_000);
    }

    #[test]
    fn written_back_as_read() {
        for text in
            ["0190b5f0-0000-7000-8000-000000000001", "0190B5F0-0000-7000-8000-000000000001", "order 7"]
        {
            assert_eq!(MessageId::from(text).to_string(), text);
        }
    }
}
