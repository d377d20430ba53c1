//! Claim check: above a size, the payload goes to an object store, and the message carries a reference to it.
//!
//! Brokers carry small messages well and large ones badly, or not at all. [`ClaimCheck::publish`] uploads the payload of a
//! message that is over the [threshold](ClaimCheck::threshold), and once the store has confirmed it publishes the message
//! with an empty payload and three CloudEvents attributes: `dataref` (where it is), `datarefhash` (SHA-256, hexadecimal)
//! and `datarefsize` (bytes). A receiver gives the claim back and gets the payload, with [`ClaimCheck::check_out`] or with
//! `ClaimCheck` as a `tower` layer around its handler. Messages below the threshold go through as they are.
//!
//! ```
//! use anybroker_core::{ConsumerExt, Group, Message, PublisherOptions, Subscription, Topic};
//! use anybroker_patterns::claim_check::ClaimCheck;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let broker = anybroker_memory::connect(&"memory://scans".parse()?).await?;
//! let directory = tempfile::tempdir().unwrap();
//! let claims = ClaimCheck::files(directory.path())?.threshold(1_000);
//! let topic = Topic::new("scans")?;
//!
//! let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
//! claims.publish(&*publisher, Message::new(vec![7; 50_000])).await?;
//!
//! let mut consumer = broker.consumer(Subscription::new(topic, Group::new("archive")?)).await?;
//! let delivery = consumer.next().await?;
//! assert_eq!(delivery.payload().len(), 0); // what the broker carried
//! assert_eq!(claims.check_out(&delivery).await?.len(), 50_000);
//! delivery.ack().await?;
//! # Ok::<(), anybroker_core::Error>(()) }).unwrap();
//! ```
//!
//! # What can go wrong
//!
//! | | what holds |
//! |---|---|
//! | the upload fails | nothing is published; the error hands the message back |
//! | the publish fails, or the process dies after the upload | a blob that no message names: [`ClaimCheck::collect`] deletes it |
//! | the blob is missing | [`NotFound`](anybroker_core::Kind::NotFound), naming blob and message; in a worker: to the dead letter topic |
//! | the blob was altered or cut | [`Decode`](anybroker_core::Kind::Decode), likewise; what was altered is never handed out |
//! | a forged reference | only blobs below the [prefix](ClaimCheck::prefix) are read, none larger than the [maximum](ClaimCheck::maximum) |
//!
//! # Retention
//!
//! Nothing deletes a blob when its message is acknowledged: other groups, a replay or a dead letter may still need it.
//! [`ClaimCheck::collect`] deletes by age. That age must be longer than any message may take to its last receiver: the topic's
//! retention, the longest outage of a consumer, and however long dead letters wait for somebody.

mod check_in;
mod check_out;
mod collect;
mod config;
mod error;
mod layer;
mod name;
mod publish;
mod reference;

pub use collect::Collected;
pub use config::ClaimCheck;
pub use layer::CheckedOut;
pub use object_store;
