//! Amazon SQS FIFO for anybroker, over `aws-sdk-sqs`; also ElasticMQ and other servers of the same protocol.
//!
//! A topic is one FIFO queue, and its group reads it. Several groups are to be asked for by name
//! (`fan_out=publisher&groups=a,b`): each has a queue of its own, and the publisher sends to all of them. See
//! [`SqsConfig`] for the parameters of a URL.

mod admin;
mod backend;
mod config;
mod connect;
mod consumer;
mod deletes;
mod diagnosis;
mod error;
mod guarantees;
mod headers;
mod held;
mod ids;
mod lanes;
mod leases;
mod member;
mod names;
mod polls;
mod publisher;
mod record;
mod sending;
mod topology;

use anybroker_core::{Broker, BrokerUrl, Result};

pub use aws_sdk_sqs;
pub use config::SqsConfig;

/// The URL schemes of this backend.
pub const SCHEMES: &[&str] = &["sqs"];

/// Reads the URL as [`connect`] does, and connects to nothing.
///
/// # Errors
/// `InvalidConfiguration` for an unknown or unreadable parameter.
pub fn check(url: &BrokerUrl) -> Result<()> {
    SqsConfig::from_url(url).map(drop)
}

/// Connects by URL: `sqs://us-east-1`, `sqs://us-east-1?endpoint=http://127.0.0.1:9324`.
///
/// # Errors
/// `InvalidConfiguration` for the URL; `PermissionDenied` (no credentials, or wrong ones), `Disconnected`, `TimedOut`.
///
/// # Cancel safety
/// Cancel safe.
pub async fn connect(url: &BrokerUrl) -> Result<Broker> {
    open(SqsConfig::from_url(url)?).await
}

/// Connects with a typed configuration.
///
/// # Errors
/// As [`connect`].
///
/// # Cancel safety
/// Cancel safe.
pub async fn open(config: SqsConfig) -> Result<Broker> {
    config.validate()?;
    backend::Sqs::open(config).await
}
