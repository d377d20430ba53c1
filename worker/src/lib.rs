//! Runs a service's handlers over anybroker's subscriptions: concurrently across keys, strictly in order within each,
//! with retries, dead letters and a shutdown that loses nothing.
//!
//! Applications find it as `anybroker::worker`.
//!
//! ```
//! use anybroker_core::{Event, Group, Key, PublisherExt, PublisherOptions, Subscription, Topic};
//! use anybroker_worker::{Failure, State, Worker};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct OrderPlaced { order: String, cents: u64 }
//! impl Event for OrderPlaced {
//!     const TYPE: &'static str = "order.placed";
//!     fn key(&self) -> Option<Key> { Some(self.order.as_str().into()) }
//! }
//!
//! #[derive(Clone)]
//! struct Bills(tokio::sync::mpsc::Sender<u64>);
//!
//! // Many orders at once; of one order, one event after the other.
//! async fn bill(order: OrderPlaced, State(bills): State<Bills>) -> Result<(), Failure> {
//!     bills.0.send(order.cents).await?; // an error is tried again, with back-off
//!     Ok(())                            // acknowledged
//! }
//!
//! # fn main() -> anybroker_core::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(program())
//! # }
//! # async fn program() -> anybroker_core::Result<()> {
//! let broker = anybroker_memory::connect(&"memory://".parse()?).await?; // anybroker::connect(url) in applications
//! let (topic, billing) = (Topic::new("orders")?, Group::new("billing")?);
//! let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
//! publisher.publish_event(&OrderPlaced { order: "o-1".into(), cents: 250 }).await?;
//!
//! let (bills, mut billed) = tokio::sync::mpsc::channel(1);
//! let worker = Worker::builder(broker.clone())
//!     .state(Bills(bills))
//!     .subscribe(Subscription::new(topic, billing), bill)
//!     .build()?;
//! // `worker.run()` ends with SIGTERM; this one ends with the first bill.
//! worker.run_until(async { assert_eq!(billed.recv().await, Some(250)) }).await?;
//! # broker.close().await
//! # }
//! ```
//!
//! # What becomes of a message
//!
//! | its handler | the message |
//! |---|---|
//! | returns `Ok` | is acknowledged |
//! | fails, [retryable](Class::Retryable) (any error by `?`), panics, or takes [too long](Handling::timeout) | comes again as [`Retry`] says; later ones of its key wait, other keys go on |
//! | fails for the last time, or [permanently](Class::Permanent); cannot be [decoded](Class::Poison), or has no handler | goes to the dead letter topic, confirmed, then is acknowledged; its key goes on. Without a dead letter topic: [`Hopeless`] |
//! | fails [fatally](Class::Fatal) | is handed back; the worker ends with the error |
//! | had its partition taken away, or its lease | comes again, to whomever; settling it is a no-op |
//!
//! A dead letter that cannot be published is tried again for as long as it takes; its key waits, unacknowledged.

mod builder;
#[cfg(feature = "endpoint")]
mod endpoint;
mod failure;
mod handler;
mod handling;
mod health;
mod layers;
mod observe;
mod outputs;
mod publishers;
mod retry;
mod serve;
mod signals;
mod store;
mod telemetry;
pub mod testing;
mod worker;

pub use builder::Builder;
#[cfg(feature = "endpoint")]
pub use endpoint::Endpoint;
pub use failure::{BoxError, Class, Failure, HandlerError};
pub use handler::{
    Attempt, BatchHandler, Batched, ByFunction, ByService, Context, Deadline, Extract, FromWorker, Handler,
    IntoBatchService, IntoResult, IntoService, Item, Outcomes, Router, State, Unknown,
};
pub use handling::{Batches, Handling, Hopeless};
pub use health::{BrokerHealth, Health, LastError, Phase, Report, Status, SubscriptionHealth};
pub use layers::{CircuitBreaker, CircuitBroken, Idempotency, Idempotent};
pub use observe::{Happening, Loop, Observer, Outcome, Wants};
pub use publishers::Publishers;
pub use retry::Retry;
pub use signals::Signals;
#[cfg(feature = "sqlite")]
pub use store::SqliteStore;
pub use store::{Admission, Begin, IdempotencyStore, Lot, MemoryStore, ParkingStore};
#[cfg(feature = "otel")]
pub use telemetry::Telemetry;
pub use telemetry::{Metrics, SPANS};
pub use worker::Worker;
