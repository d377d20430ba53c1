//! Schemas that change: how data of an old version is read, and how a change that nobody could read is noticed before it
//! is published.
//!
//! - [`Upcasters`] bring old data to the newest version: in the event store, as a layer around a worker's handlers, and by
//!   [`Upcasters::event`] wherever a record is read. A message that is replayed from a dead letter still has the version
//!   that it was published with, and arrives upcast like any other.
//! - A [`Registry`] keeps the JSON Schema of every version, by default as a [`Directory`] of files beside the code; with the
//!   feature `schema-registry` also on a server that speaks Confluent's protocol (`ConfluentRegistry`), whose ids frame
//!   payloads for other clients of it (`Framing`); with the feature `glue` also in the schema registry of AWS Glue (`GlueRegistry`).
//! - [`Check`] finds out whether what one version writes another can read: [`backward`](Check::backward),
//!   [`forward`](Check::forward) or [`full`](Check::full), over the last N versions.
//! - [`Directory::golden`] keeps payloads of every version and proves in a test that today's program reads them all.
//!
//! ```
//! use anybroker_core::Event;
//! use anybroker_patterns::schema::{Check, Directory, Schema, Upcasters};
//! use serde_json::json;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct OrderPlaced { cents: u64, currency: String }
//! impl Event for OrderPlaced {
//!     const TYPE: &'static str = "order.placed";
//!     const VERSION: u32 = 2;
//! }
//!
//! # let place = tempfile::tempdir()?;
//! # let path = place.path().join("schemas");
//! let registry = Directory::new(path);
//! let version = |required: &[&str]| json!({
//!     "type": "object",
//!     "properties": { "cents": { "type": "integer" }, "currency": { "type": "string" } },
//!     "required": required,
//! });
//! registry.register(&Schema::new("order.placed", 1, version(&["cents"])))?;
//! registry.register(&Schema::new("order.placed", 2, version(&["cents", "currency"])))?;
//!
//! // What version 1 wrote, version 2 cannot read …
//! let report = Check::backward().run(&registry.schemas()?);
//! assert!(!report.holds());
//! assert_eq!(report.findings().next().unwrap().pointer, "/currency");
//!
//! // … unless an upcaster makes it so.
//! let upcasters = Upcasters::new()
//!     .step("order.placed", 1, 2, |mut data| { data["currency"] = json!("EUR"); Ok(data) })?;
//! assert!(Check::backward().upcasters(&upcasters).run(&registry.schemas()?).holds());
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod compatibility;
#[cfg(feature = "schema-registry")]
mod confluent;
mod directory;
#[cfg(any(feature = "schema-registry", feature = "glue"))]
mod document;
#[cfg(feature = "glue")]
mod glue;
mod golden;
mod layer;
#[cfg(any(feature = "schema-registry", feature = "glue"))]
mod level;
mod reading;
mod registry;
mod upcasters;

pub use compatibility::{Changed, Check, Compared, Direction, Finding, Report, Rule, Verdict};
#[cfg(feature = "schema-registry")]
pub use confluent::{
    ConfluentConfig, ConfluentRegistry, FrameError, Framing, Login, Registration, Unframing, frame, unframe,
};
pub use directory::Directory;
#[cfg(feature = "glue")]
pub use glue::{GlueConfig, GlueRegistration, GlueRegistry};
pub use golden::{Golden, GoldenError, Unreadable};
pub use layer::Upcasting;
#[cfg(any(feature = "schema-registry", feature = "glue"))]
pub use level::{Judged, Level};
pub use registry::{Difference, Registered, Registry, RegistryError, Schema};
pub use upcasters::{UpcastError, Upcasters};
