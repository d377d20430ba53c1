//! Apache Pulsar for anybroker: Pulsar 3 and 4, in Pulsar's own binary protocol.
//!
//! A topic is a persistent topic of the URL's namespace, with partitions if that is asked for. A group is a named
//! subscription: `Key_Shared`, in which a key has one consumer at a time, or by `subscription_type=` `Failover` or
//! `Exclusive`, in which a partition has one. See [`PulsarConfig`] for the parameters of a URL.
//!
//! Frames and codec are those of the `pulsar` crate. Its consumer is not used: it connects again and subscribes again in
//! silence, so that nobody could tell that what a member holds has been given to another meanwhile; and it keeps the
//! broker's count of redeliveries and the answers to acknowledgements to itself. Topics and groups are made and looked
//! at by Pulsar's admin interface, which is HTTP: `admin=http://host:8080`.
//!
//! Pulsar grants messages one by one and cannot take a grant back: besides what a session has taken in, up to
//! `prefetch` messages may wait in the client.

mod admin;
mod backend;
mod batch;
mod config;
mod connections;
mod consumer;
mod diagnosis;
mod error;
mod guarantees;
mod http;
mod lane;
mod manage;
mod member;
mod publisher;
mod record;
mod sending;
mod tls;
mod topology;
mod wire;

use anybroker_core::{Broker, BrokerUrl, Result};

pub use backend::NativeClient;
pub use config::{Journal, PulsarConfig, SubscriptionType};
pub use pulsar;

/// The URL schemes of this backend.
pub const SCHEMES: &[&str] = &["pulsar", "pulsar+ssl"];

/// Reads the URL as [`connect`] does, and connects to nothing.
///
/// # Errors
/// `InvalidConfiguration` for an unknown or unreadable parameter.
pub fn check(url: &BrokerUrl) -> Result<()> {
    PulsarConfig::from_url(url).map(drop)
}

/// Connects by URL: `pulsar://host:6650/tenant/namespace?partitions=6`.
///
/// # Errors
/// `InvalidConfiguration` for the URL; `PermissionDenied`, `Disconnected`, `TimedOut`.
///
/// # Cancel safety
/// Cancel safe.
pub async fn connect(url: &BrokerUrl) -> Result<Broker> {
    open(PulsarConfig::from_url(url)?).await
}

/// Connects with a typed configuration.
///
/// # Errors
/// As [`connect`].
///
/// # Cancel safety
/// Cancel safe.
pub async fn open(config: PulsarConfig) -> Result<Broker> {
    config.validate()?;
    backend::PulsarBackend::open(config).await
}
