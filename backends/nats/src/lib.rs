//! NATS for anybroker: JetStream, and core NATS as at-most-once.

use anybroker_core::{Broker, BrokerUrl, Error, Kind, Result};

/// The URL schemes of this backend.
pub const SCHEMES: &[&str] = &["nats", "tls", "nats+core"];

/// Opens the broker.
///
/// # Errors
/// `Unsupported`: it is not built yet.
///
/// # Cancel safety
/// Cancel safe.
pub async fn connect(url: &BrokerUrl) -> Result<Broker> {
    Err(Error::new(Kind::Unsupported, "connect", "not built yet").on(url.to_string()))
}
