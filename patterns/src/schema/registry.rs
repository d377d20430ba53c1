//! Schemas by event type and version, wherever they are kept.

use std::fmt;
use std::path::PathBuf;

use anybroker_core::{Error, Kind};
use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};

/// What the payload of one version of an event type looks like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schema {
    /// What happened: `order.placed`.
    pub event_type: String,
    /// The version.
    pub version: u32,
    /// A JSON Schema.
    pub document: Value,
}

impl Schema {
    /// A schema that is written by hand, or by another program.
    pub fn new(event_type: impl Into<String>, version: u32, document: Value) -> Self {
        Schema { event_type: event_type.into(), version, document }
    }

    /// The schema of an event, from its Rust type: what is read, as draft 7, which every registry and AsyncAPI take.
    #[cfg(feature = "schema")]
    pub fn of<E: anybroker_core::Event + schemars::JsonSchema>() -> Self {
        let generator = schemars::generate::SchemaSettings::draft07().into_generator();
        Schema::new(E::TYPE, E::VERSION, generator.into_root_schema_for::<E>().to_value())
    }
}

/// What registering a schema did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It is new.
    New,
    /// It was there, the same.
    Unchanged,
}

/// Where two schemas of one version differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// JSON pointer into both.
    pub pointer: String,
    /// What is registered there.
    pub registered: Option<Value>,
    /// What was given.
    pub given: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
        let pointer = if self.pointer.is_empty() { "the whole" } else { &self.pointer };
        write!(
            f,
            "{pointer}: {:.200} is registered, {:.200} was given",
            text(&self.registered),
            text(&self.given)
        )
    }
}

/// Why a registry could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A published version must stay as it is: whoever reads it relies on it.
    #[error(
        "{event_type} version {version} is registered with another schema; give the change a new version\n{}",
        lines(differences)
    )]
    Changed {
        /// The event's type.
        event_type: String,
        /// Its version.
        version: u32,
        /// Where the two differ.
        differences: Vec<Difference>,
    },
    /// A file that is no schema, or no name for one.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A server does not take a version: by its compatibility level, what was published is not read, or the other way round.
    #[error(
        "{event_type} version {version} is refused by {place}: {reason}; change it so that both read each other, or have \
         the type's compatibility level changed there"
    )]
    Incompatible {
        /// The event's type.
        event_type: String,
        /// Its version.
        version: u32,
        /// The server.
        place: String,
        /// What it says.
        reason: String,
    },
    /// A server has no such schema.
    #[error(
        "no schema has the id {id} on {place}: it was registered with another server, or this one lost it; nothing that \
         was published with it can be read without"
    )]
    Unknown {
        /// The id.
        id: u32,
        /// The server.
        place: String,
    },
    /// A version is not registered.
    #[error(
        "{event_type} version {version} is not registered on {place}; register it first, by `register` or \
         `anybroker schema register`"
    )]
    NotRegistered {
        /// The event's type.
        event_type: String,
        /// Its version.
        version: u32,
        /// The server.
        place: String,
    },
    /// A server could not be asked, or failed.
    #[error(transparent)]
    Server(#[from] Error),
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

fn lines(differences: &[Difference]) -> String {
    differences.iter().map(|it| format!("  {it}")).collect::<Vec<_>>().join("\n")
}

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        let error = match error {
            RegistryError::Server(own) => return own,
            other => other,
        };
        let kind = match &error {
            RegistryError::Unknown { .. } | RegistryError::NotRegistered { .. } => Kind::NotFound,
            RegistryError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Kind::NotFound
            }
            RegistryError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Kind::PermissionDenied
            }
            _ => Kind::InvalidConfiguration,
        };
        Error::new(kind, "use the schema registry", error.to_string())
    }
}

/// Keeps schemas. [`Directory`](super::Directory) is the default; a server is the other that is here, with the feature
/// `schema-registry`.
///
/// # For implementors
/// What was registered never changes; registering the same again is no error, and compares the documents as JSON.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Adds a schema.
    ///
    /// # Errors
    /// [`RegistryError::Changed`] if its version has another one, with the differences.
    ///
    /// # Cancel safety
    /// A cancelled call may have registered it; the next one says so.
    async fn register(&self, schema: &Schema) -> Result<Registered, RegistryError>;

    /// All schemas, by type and version.
    ///
    /// # Errors
    /// What cannot be read; none is left out.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn schemas(&self) -> Result<Vec<Schema>, RegistryError>;
}

/// Where two documents differ, the innermost places.
pub(super) fn differences(registered: &Value, given: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(String::new(), Some(registered), Some(given), &mut found);
    found
}

fn compare(pointer: String, registered: Option<&Value>, given: Option<&Value>, found: &mut Vec<Difference>) {
    match (registered, given) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let mut names: Vec<_> = one.keys().chain(other.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                compare(join(&pointer, name), one.get(name), other.get(name), found);
            }
        }
        (one, other) if one == other => {}
        (one, other) => {
            found.push(Difference { pointer, registered: one.cloned(), given: other.cloned() });
        }
    }
}

/// A JSON pointer to a member.
pub(super) fn join(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A document as it is written to files: the same for the same JSON, also where maps keep their order.
pub(super) fn pretty(document: &Value) -> String {
    // A value can always be written.
    let text = serde_json::to_string_pretty(&sorted(document)).unwrap_or_default();
    text + "\n"
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
            Value::Object(entries.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
