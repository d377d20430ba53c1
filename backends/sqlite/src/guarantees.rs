//! What a broker in an SQLite file promises.

use anybroker_core::{
    Acknowledgement, AfterFailure, Basis, Certainty, Confirmation, DeadLetter, Deduplication, Delay,
    DeliveryLevel, Durability, Exclusivity, FanOut, Guarantees, Kept, Lease, Level, Limits, Redelivery,
    Replay, Row, Scope, Transactions, Unsubscribed,
};

use crate::config::{SqliteConfig, Sync};
use crate::publisher::MESSAGE_BYTES;
use crate::topics;

const SOURCE: &str = "https://docs.rs/anybroker-sqlite";
const WAL: &str = "https://sqlite.org/wal.html";
const SYNCHRONOUS: &str = "https://sqlite.org/pragma.html#pragma_synchronous";

fn row<T: Level>(value: T) -> Row<T> {
    Row::new(value, Basis::Client, SOURCE)
}

/// What holds for a topic as it is in the file, or for one that would be created.
pub(crate) fn of(config: &SqliteConfig, topic: Option<topics::Kept>) -> Guarantees {
    let basis = if topic.is_some() { Basis::Probed } else { Basis::Client };
    let kept = topic.unwrap_or_else(|| topics::Kept::of(&config.settings));
    Guarantees {
        backend: "sqlite",
        version: Some(rusqlite::version().to_owned()),
        ordering: row(Scope::Key).because("a key always goes to the same partition"),
        order_after_redelivery: row(Kept::Yes),
        order_across_consumers: row(Kept::Yes)
            .because("one member owns a partition; a change of owner drains it first"),
        order_after_member_death: row(Kept::Yes)
            .because("the next owner starts with the first message not acknowledged"),
        order_after_failed_publish: row(AfterFailure::Held)
            .because("unless the publisher is opened with Continue"),
        delivery: row(DeliveryLevel::AtLeastOnce),
        unsubscribed_publish: row(Unsubscribed::Kept).because("up to the topic's retention; then it is refused"),
        publish_confirmation: row(Confirmation::Confirmed).because("its transaction is committed"),
        durability_on_confirm: durability(config.sync),
        acknowledgement: row(Acknowledgement::Individual),
        settlement: row(Certainty::Confirmed).because("its transaction is committed"),
        redelivery: row(Redelivery::Count).because(
            "also of what a killed member held; a power cut may lose the count of what was in hand then",
        ),
        exclusivity: row(Exclusivity::Partition).because(
            "until the drain deadline of the subscription has passed; a member is dead when its file lock is gone",
        ),
        deduplication: deduplication(kept, basis),
        dead_letter: row(DeadLetter::AtLeastOnce)
            .because("the envelope is confirmed before the original is settled"),
        fan_out: row(FanOut::Groups),
        replay: row(Replay::Earliest),
        lease: match config.lease {
            Some(_) => row(Lease::Fixed).raise("leave lease= out of the URL"),
            None => row(Lease::Session),
        },
        delay: row(Delay::Redelivery),
        transactions: row(Transactions::None).raise("an outbox and an inbox in the same file have the same effect"),
        limits: Limits {
            message_bytes: Some(MESSAGE_BYTES),
            batch: None,
            in_flight: None,
            deduplication_window: kept.deduplication,
            lease: config.lease,
        },
    }
}

fn durability(sync: Sync) -> Row<Durability> {
    match sync {
        Sync::Full => Row::new(Durability::Fsync, Basis::Documented, SYNCHRONOUS)
            .because("synchronous=FULL: the log is synced at every commit, on a local disk that does not lie")
            .raise("choose a broker with replicas"),
        Sync::Normal => Row::new(Durability::PageCache, Basis::Documented, WAL)
            .because("synchronous=NORMAL: the log is synced at checkpoints only")
            .raise("leave sync=normal out of the URL"),
    }
}

fn deduplication(kept: topics::Kept, basis: Basis) -> Row<Deduplication> {
    match kept.deduplication {
        Some(_) => Row::new(Deduplication::Window, basis, SOURCE)
            .because("a setting of the topic; the window is on this host's clock"),
        None => Row::new(Deduplication::None, basis, SOURCE)
            .raise("add deduplication=2m to the URL; for an existing topic, alter=true too"),
    }
}
