//! Which partition a key belongs to: decided by the publisher, and for ever.
//!
//! The routing key of every message is the number of one of [`SLOTS`] slots, made of the message's key. A group with
//! partitions binds each slot to one of its queues by a direct exchange. RabbitMQ's own consistent-hash exchange is not
//! used: it builds its ring anew when the server starts, and then sends a key to another queue than before
//! (<https://github.com/rabbitmq/rabbitmq-server/tree/main/deps/rabbitmq_consistent_hash_exchange#node-restart-effects>).

use anybroker_core::kit::crc32;
use anybroker_core::{Message, MessageId};

/// How many slots there are: a group has that many partitions at most.
pub(crate) const SLOTS: u32 = 256;

/// The slot of a message: that of its key; a message without a key goes by its id, so that such messages spread out.
pub(crate) fn slot(message: &Message) -> u32 {
    match (&message.key, &message.id) {
        (Some(key), _) => slot_of(key.as_bytes()),
        (None, MessageId::Uuid(id)) => slot_of(id.as_bytes()),
        (None, MessageId::Text(id)) => slot_of(id.as_bytes()),
    }
}

/// The slot of a key: its CRC-32 (that of zlib) modulo the number of slots. Other programs that publish do the same.
fn slot_of(key: &[u8]) -> u32 {
    crc32(key) % SLOTS
}

/// The slots of one of `partitions`.
pub(crate) fn slots_of(partition: u32, partitions: u32) -> impl Iterator<Item = u32> {
    (partition..SLOTS).step_by(partitions.max(1) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_of_a_key_never_changes() {
        // As Python's `zlib.crc32(key) % 256` gives them; a change would send keys that are under way elsewhere.
        let slots = ["", "order-7", "a"].map(|key| slot_of(key.as_bytes()));
        assert_eq!(slots, [0, 218, 67]);
    }

    #[test]
    fn keys_spread_over_all_slots() {
        let mut counts = [0; SLOTS as usize];
        (0..25_600).for_each(|n| counts[slot_of(format!("key-{n}").as_bytes()) as usize] += 1);
        assert!(counts.iter().all(|count| (50..160).contains(count)), "{counts:?}");
    }

    #[test]
    fn every_slot_has_one_partition() {
        for partitions in [1, 3, 6, 255, 256] {
            let mut all: Vec<_> = (0..partitions).flat_map(|p| slots_of(p, partitions)).collect();
            all.sort_unstable();
            assert_eq!(all, (0..SLOTS).collect::<Vec<_>>());
        }
    }
}
