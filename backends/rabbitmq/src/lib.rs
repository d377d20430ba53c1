//! RabbitMQ for anybroker, over `lapin`: RabbitMQ 3.10 to 4.
//!
//! A topic is a durable fanout exchange. A group is one durable quorum queue with a single active consumer, or, with
//! `partitions=n`, a direct exchange over n such queues, which the members share out: a key always goes to the same
//! one. See
//! [`RabbitConfig`] for the parameters of a URL.
//!
//! RabbitMQ bounds what a consumer holds by messages alone: of a subscription's `prefetch_bytes` the client
//! takes no more into its session, but up to `prefetch` messages may wait in the connection's buffer besides.

mod admin;
mod asking;
mod backend;
mod census;
mod config;
mod connect;
mod consumer;
mod consuming;
mod diagnosis;
mod error;
mod guarantees;
mod lanes;
mod limit;
mod locks;
mod member;
mod names;
mod outcomes;
mod publisher;
mod record;
mod registry;
mod sending;
mod server;
mod sharing;
mod slots;
mod stream;
mod topology;
mod wire;

use anybroker_core::{Broker, BrokerUrl, Result};
use futures::FutureExt;

pub use backend::NativeConnection;
pub use config::{Auth, QueueType, RabbitConfig};
pub use lapin;

/// The URL schemes of this backend.
pub const SCHEMES: &[&str] = &["amqp", "amqps"];

/// Reads the URL as [`connect`] does, and connects to nothing.
///
/// # Errors
/// `InvalidConfiguration` for an unknown or unreadable parameter.
pub fn check(url: &BrokerUrl) -> Result<()> {
    RabbitConfig::from_url(url).map(drop)
}

/// Connects by URL: `amqp://user:password@host:5672/virtual-host?partitions=6`.
///
/// # Errors
/// `InvalidConfiguration` for the URL; `PermissionDenied`, `NotFound` (the virtual host), `Disconnected`, `TimedOut`.
///
/// # Cancel safety
/// Cancel safe.
pub async fn connect(url: &BrokerUrl) -> Result<Broker> {
    open(RabbitConfig::from_url(url)?).await
}

/// Connects with a typed configuration.
///
/// # Errors
/// As [`connect`].
///
/// # Cancel safety
/// Cancel safe.
pub async fn open(config: RabbitConfig) -> Result<Broker> {
    config.validate()?;
    // Its type is deeper than the compiler looks into by itself, where a program awaits this in tasks within tasks.
    backend::Rabbit::open(config).boxed().await
}
