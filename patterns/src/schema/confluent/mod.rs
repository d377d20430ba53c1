//! A server that speaks the protocol of Confluent's Schema Registry, and the framing by which its clients name a schema.

mod cache;
mod config;
mod frame;
mod framing;
mod http;
mod ids;
mod layer;
mod protocol;
mod registry;

use std::sync::Arc;

use anybroker_core::Result;
use bytestring::ByteString;

pub use config::{ConfluentConfig, Login};
pub use frame::{FrameError, frame, unframe};
pub use framing::Framing;
pub use layer::Unframing;
pub use registry::Registration;

use cache::Cache;
use http::Http;
use ids::Found;

/// A registry that speaks the protocol of Confluent's Schema Registry: Confluent's own, Apicurio Registry, Karapace,
/// Redpanda. Clones share connections and caches.
///
/// A schema is registered under the subject of its event type ([`prefix`](ConfluentConfig::prefix) before it), which is
/// Confluent's `RecordNameStrategy`. The server counts the versions of a subject by itself, so the version that the Rust
/// type has is written into the document, as `x-schema-version`, and its type as `x-event-type`; validators pass over both. In
/// a schema that somebody else registered the version is the server's.
///
/// ```no_run
/// # use anybroker_core::Event;
/// use anybroker_patterns::schema::{ConfluentConfig, ConfluentRegistry, Schema};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let url = "https://registry:8081?user=shop&password_file=/run/secrets/registry".parse()?;
/// let registry = ConfluentRegistry::open(ConfluentConfig::from_url(&url)?)?;
/// let document = serde_json::json!({ "type": "object" });
/// let registered = registry.register(&Schema::new("order.placed", 2, document)).await?;
/// let schema = registry.by_id(registered.id).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ConfluentRegistry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: Http,
    prefix: String,
    /// What an id stands for, which never changes.
    found: Cache<u32, Arc<Found>>,
    /// The id of a type's version.
    ids: Cache<(ByteString, u32), u32>,
}

impl ConfluentRegistry {
    /// The registry at these addresses. Nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidConfiguration`: no address, files of TLS that do not read, or a login that fits in no header.
    pub fn open(config: ConfluentConfig) -> Result<Self> {
        let inner = Inner {
            http: Http::new(&config)?,
            prefix: config.prefix,
            found: Cache::new(config.cached),
            ids: Cache::new(config.cached),
        };
        Ok(ConfluentRegistry { inner: Arc::new(inner) })
    }

    /// Where it is, without secrets.
    pub fn place(&self) -> &str {
        self.inner.http.place()
    }
}
