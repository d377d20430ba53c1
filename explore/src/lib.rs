//! Tests a service against the worst that its broker is allowed to do.
//!
//! [`explore`] runs a service, and what must hold of it, over many seeds. In each, the in-memory broker behaves as another
//! one's adapter, and does what that broker's guarantees do not exclude: messages come twice, partitions move, answers are
//! lost, connections break; and the service's processes are killed at their awaits. Time is virtual, and a run takes about
//! a millisecond. What fails is made as short as possible, told as a story, and replayed by one line.
//!
//! ```should_panic
//! use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
//! use anybroker_core::{Broker, ConsumerExt, Group, Message, PublisherExt, PublisherOptions, Subscription, Topic, Topology};
//! use anybroker_explore::{Like, explore};
//!
//! /// Takes money for each message: also when one comes twice.
//! async fn payments(broker: Broker, taken: Arc<AtomicU32>) -> anybroker_core::Result<()> {
//!     let subscription = Subscription::new(Topic::new("orders")?, Group::new("payments")?);
//!     let mut consumer = broker.consumer(subscription).await?;
//!     loop {
//!         let order = consumer.next().await?;
//!         taken.fetch_add(1, Ordering::Relaxed);
//!         order.ack().await?;
//!     }
//! }
//!
//! // In a test: #[test] fn money_is_taken_once()
//! explore(Like::Kafka, |run| async move {
//!     let topic = Topic::new("orders")?;
//!     run.outside().admin().declare(&Topology::new(topic.clone()).group(Group::new("payments")?)).await?;
//!     let taken = Arc::new(AtomicU32::new(0));
//!     let till = taken.clone();
//!     run.process("payments", move |broker| payments(broker, till.clone()));
//!     let publisher = run.outside().publisher(PublisherOptions::new(topic)).await?;
//!     publisher.publish(Message::new("5 apples").with_key("order-1")).await?;
//!     run.drained().await; // the adversary rests, and everything comes to its end
//!     assert_eq!(taken.load(Ordering::Relaxed), 1);
//!     Ok::<_, anybroker_core::Error>(())
//! })
//! .seeds(1_000)
//! .run();
//! ```
//!
//! # What makes a run the same again
//!
//! A seed decides what goes wrong; everything else has to be the same by itself. Each run has one thread and paused time. What
//! does not come from these is not under control: `tokio::select!` without `biased`, the order of a `HashMap`, threads
//! (`spawn_blocking`, and so SQLite), sockets, the wall clock. A failure that does not come again when its seed is run again
//! is reported as such.

/// The guide's program, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../docs/worst-broker.md")]
mod guide {}

mod attempt;
mod clock;
mod explorer;
mod failure;
mod journal;
mod mortal;
mod panics;
mod run;
mod search;
mod shrink;
mod verdict;
mod watch;
mod words;

pub use anybroker_memory::{Like, Schedule};
pub use explorer::{Explorer, explore};
pub use failure::{Cause, Failure};
pub use run::Run;
pub use verdict::Verdict;
