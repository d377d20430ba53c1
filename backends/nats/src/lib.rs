//! NATS for anybroker, over `async-nats`: JetStream of NATS 2.10 and later, and core NATS as at-most-once.
//!
//! A topic is a stream with one subject for each partition. A group is one durable pull consumer for each partition, which
//! its members share out: a key always goes to the same one. See [`NatsConfig`] for the parameters of a URL.
//!
//! A session asks the server for no more than it has room for, except that one message of each partition may wait
//! besides.

mod admin;
mod backend;
mod bucket;
mod config;
mod consumer;
mod core;
mod diagnosis;
mod error;
mod groups;
mod guarantees;
mod handle;
mod lane;
mod lanes;
mod link;
mod member;
mod names;
mod permission;
mod publisher;
mod pulls;
mod record;
mod sending;
mod server;
mod sharing;
mod streams;
mod takeover;

use anybroker_core::{Broker, BrokerUrl, Result};

pub use async_nats;
pub use backend::NativeClient;
pub use config::{Lanes, Login, NatsConfig, Sync};

/// The URL schemes of this backend.
pub const SCHEMES: &[&str] = &["nats", "tls", "nats+core"];

/// Reads the URL as [`connect`] does, and connects to nothing.
///
/// # Errors
/// `InvalidConfiguration` for an unknown or unreadable parameter.
pub fn check(url: &BrokerUrl) -> Result<()> {
    NatsConfig::from_url(url).map(drop)
}

/// Connects by URL: `nats://user:password@host:4222?partitions=4`.
///
/// # Errors
/// `InvalidConfiguration` for the URL; `PermissionDenied`, `Disconnected`, `TimedOut`.
///
/// # Cancel safety
/// Cancel safe.
pub async fn connect(url: &BrokerUrl) -> Result<Broker> {
    open(NatsConfig::from_url(url)?).await
}

/// Connects with a typed configuration.
///
/// # Errors
/// As [`connect`].
///
/// # Cancel safety
/// Cancel safe.
pub async fn open(config: NatsConfig) -> Result<Broker> {
    config.validate()?;
    if config.core { core::CoreNats::open(config).await } else { backend::Nats::open(config).await }
}
