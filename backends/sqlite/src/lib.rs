//! The embedded, durable broker of anybroker: one SQLite file, several processes.

use anybroker_core::{Broker, BrokerUrl, Error, Kind, Result};

/// The URL schemes of this backend.
pub const SCHEMES: &[&str] = &["sqlite"];

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
