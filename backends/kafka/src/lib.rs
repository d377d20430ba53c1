//! Apache Kafka for anybroker, over librdkafka.
//!
//! [`connect`] takes a URL such as `kafka://h1:9092,h2:9092?topology=create&partitions=6`; [`KafkaConfig`] is the same
//! by hand.
//!
//! # What becomes of the contract on Kafka
//! - A topic is a topic, a group is a consumer group, a key is the record's key, hashed as Java clients do (murmur2).
//! - Publishing is idempotent with `acks=all`; each message's confirmation is librdkafka's delivery report.
//! - The publishers of a connection share up to four producers. What is unconfirmed when `close` gives up on it may still
//!   be stored until `message_timeout` has passed.
//! - Acknowledgements are committed every `commit_interval`: the first offset that is not done, for each partition.
//!   Behind a negative acknowledgement the offset stays, while other keys go on.
//! - A partition that is lost, as when the broker dies, makes what the application holds of it void. If it comes back
//!   and nobody else had it, the session goes on after what it acknowledged, committed or not, behind a gap too. If
//!   somebody else had it, it goes on where he left it.
//! - A partition that moves to another member is drained and committed first. A member that dies costs the others a
//!   `session_timeout`, after which they read on from the committed offset.
//! - Attempts are carried over for the first unfinished message of each partition, in the commit's metadata. After a
//!   crash a partition goes one message at a time for a while, so that a message that kills its process is found,
//!   counted, and dead-lettered if the subscription says so.
//! - A transaction is Kafka's: librdkafka's transactional producer, and one offset for each partition of what it settles. While
//!   it commits a partition, the consumer does not. A delivery behind one that is not done cannot be settled (`Superseded`). A
//!   commit at the moment at which the group shares out anew is refused (`Fenced`, not applied); the publisher goes on, and
//!   one that is of no use any more says so with the next `begin`. A commit without an answer ends the consumers of its
//!   deliveries; a cancelled one goes on in the background, and ends them only then. librdkafka 2.12 does not speak KIP-890's
//!   protocol, with which no late request can become part of another transaction.
//! - `Backend::native` is the `rdkafka::admin::AdminClient<DefaultClientContext>` of the control connection.
//! - The largest message is smaller than the topic's `max.message.bytes`: 2 KiB are left for attributes and framing.

mod admin;
mod assignment;
mod attempts;
mod blocking;
mod cluster;
mod commit;
mod committer;
mod config;
mod connect;
mod consumer;
mod diagnosis;
mod enlist;
mod error;
mod fetch;
mod groups;
mod guarantees;
mod lag;
mod link;
mod native;
mod observer;
mod past;
mod permission;
mod producer;
mod producers;
mod publisher;
mod raw;
mod rebalance;
mod record;
mod reports;
mod slot;
mod supervise;
mod topology;
mod transaction;
mod transactor;
mod turns;

pub use config::{GroupProtocol, KafkaConfig};
pub use connect::{connect, connect_with};
pub use rdkafka;

use anybroker_core::{BrokerUrl, Result};

/// The URL schemes that this backend answers to.
pub const SCHEMES: &[&str] = &["kafka", "kafka+ssl"];

/// Reads the URL as [`connect`] does, and connects to nothing.
///
/// # Errors
/// `InvalidConfiguration` for an unknown or unreadable parameter.
pub fn check(url: &BrokerUrl) -> Result<()> {
    KafkaConfig::from_url(url).map(drop)
}
