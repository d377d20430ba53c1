//! What the in-memory broker promises. It is the model, so its own code is the documentation.

use anybroker_core::{
    Acknowledgement, AfterFailure, Basis, Certainty, Confirmation, DeadLetter, Deduplication, Delay,
    DeliveryLevel, Durability, Exclusivity, FanOut, Guarantees, Kept, Lease, Level, Limits, Redelivery,
    Replay, Row, Scope, Transactions, Unsubscribed,
};

use crate::config::MemoryConfig;
use crate::like;

pub(crate) const SOURCE: &str = "https://docs.rs/anybroker-memory";
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Memory has no limit of its own; this one keeps a mistake from taking all of it.
pub(crate) const MESSAGE_BYTES: usize = 64 << 20;

fn row<T: Level>(value: T) -> Row<T> {
    Row::new(value, Basis::Client, SOURCE)
}

pub(crate) fn of(config: &MemoryConfig) -> Guarantees {
    let Some(like) = config.like else { return own(config) };
    let mut guarantees = like::guarantees(like);
    guarantees.limits.lease = config.lease.or(guarantees.limits.lease);
    guarantees
}

fn own(config: &MemoryConfig) -> Guarantees {
    let deduplication = match config.deduplication {
        Some(_) => row(Deduplication::Window),
        None => row(Deduplication::None).raise("add deduplication=2m to the URL"),
    };
    let lease = match config.lease {
        Some(_) => row(Lease::Fixed).raise("leave lease= out of the URL"),
        None => row(Lease::Session),
    };
    Guarantees {
        backend: "memory",
        version: Some(VERSION.to_owned()),
        ordering: row(Scope::Key).because("a key always goes to the same partition"),
        order_after_redelivery: row(Kept::Yes),
        order_across_consumers: row(Kept::Yes)
            .because("one member owns a partition; a change of owner drains it first"),
        order_after_member_death: row(Kept::Yes)
            .because("the next owner starts with the first message not acknowledged"),
        order_after_failed_publish: row(AfterFailure::Held)
            .because("unless the publisher is opened with Continue"),
        delivery: row(DeliveryLevel::AtLeastOnce),
        unsubscribed_publish: row(Unsubscribed::Kept),
        publish_confirmation: row(Confirmation::Confirmed),
        durability_on_confirm: row(Durability::Memory).raise("choose a broker that has a disk"),
        acknowledgement: row(Acknowledgement::Individual),
        settlement: row(Certainty::Confirmed),
        redelivery: row(Redelivery::Count),
        exclusivity: row(Exclusivity::Partition)
            .because("until the drain deadline of the subscription has passed"),
        deduplication,
        dead_letter: row(DeadLetter::AtLeastOnce)
            .because("the envelope is confirmed before the original is settled"),
        fan_out: row(FanOut::Groups),
        replay: row(Replay::Earliest),
        lease,
        delay: row(Delay::Redelivery),
        transactions: row(Transactions::ReadProcessWrite)
            .because("between topics and consumers of one broker handle"),
        limits: Limits {
            message_bytes: Some(MESSAGE_BYTES),
            batch: None,
            in_flight: None,
            deduplication_window: config.deduplication,
            lease: config.lease,
        },
    }
}
