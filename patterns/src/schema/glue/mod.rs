//! The schema registry of AWS Glue.

mod adding;
mod config;
mod connect;
mod error;
mod judging;
mod names;
mod reading;
mod registry;

use std::time::Duration;

use anybroker_core::Result;
use aws_sdk_glue::Client;
use aws_sdk_glue::types::Compatibility;

pub use config::GlueConfig;
pub use registry::GlueRegistration;

/// The schema registry of AWS Glue. Clones share connections.
///
/// A type is a *schema* of the registry, of the data format JSON; Glue counts its versions by itself, so the version that the
/// Rust type has is written into the document, as `x-schema-version`, and its type as `x-event-type`. In a schema that somebody
/// else registered the version is Glue's. The schema has the type's name behind [`prefix`](GlueConfig::prefix), where what Glue
/// does not allow in a name is `#` and two hexadecimal digits a byte.
///
/// A version that does not fit the schema's compatibility level is refused twice: by [`Check`](super::Check), with reasons and
/// before anything is sent, and by Glue, which says no more than that it failed, and keeps what failed under a number.
///
/// ```no_run
/// # use anybroker_core::Event;
/// use anybroker_patterns::schema::{GlueConfig, GlueRegistry, Schema};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = GlueRegistry::open(GlueConfig::from_url(&"glue://eu-west-1/shop".parse()?)?).await?;
/// let document = serde_json::json!({ "type": "object" });
/// registry.register(&Schema::new("order.placed", 2, document)).await?;
/// let schema = registry.by_version("order.placed", 2).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct GlueRegistry {
    client: Client,
    registry: String,
    place: String,
    prefix: String,
    /// Of schemas that are made.
    compatibility: Compatibility,
    deadline: Duration,
}

impl GlueRegistry {
    /// Finds credentials. Nothing is sent to Glue yet.
    ///
    /// # Errors
    /// `InvalidConfiguration`: a file of TLS that does not read; `PermissionDenied`: no credentials are found.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(config: GlueConfig) -> Result<Self> {
        config.validate()?;
        Ok(GlueRegistry {
            client: connect::client(&config).await?,
            place: config.place(),
            compatibility: judging::named(config.level),
            registry: config.registry,
            prefix: config.prefix,
            deadline: config.deadline,
        })
    }

    /// Where it is, without secrets.
    pub fn place(&self) -> &str {
        &self.place
    }
}
