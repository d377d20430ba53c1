//! Old data as the newest version of its schema.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use anybroker_core::{Bytes, Error, Kind};
use serde_json::Value;

/// What makes data of one version into data of a later one.
type Step = Arc<dyn Fn(Value) -> Result<Value, Cause> + Send + Sync>;
/// Why it failed.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Chains of functions that make data of an old version into the newest one's. Types that are not mentioned pass as they
/// are; of the others, what is newer than known or older than every step is an error.
///
/// ```
/// use anybroker_patterns::schema::Upcasters;
/// use serde_json::json;
/// let upcasters = Upcasters::new()
///     .step("order.placed", 1, 2, |mut data| { data["currency"] = json!("EUR"); Ok(data) })?
///     .step("order.placed", 2, 3, |mut data| { data["cents"] = json!(data["euros"].as_u64().ok_or("no euros")? * 100); Ok(data) })?;
/// let (version, data) = upcasters.upcast("order.placed", 1, &br#"{"euros":2}"#[..].into())?;
/// assert_eq!(version, 3);
/// assert_eq!(&data[..], br#"{"cents":200,"currency":"EUR","euros":2}"#);
/// assert!(upcasters.upcast("order.placed", 4, &"{}".into()).is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Upcasters {
    types: HashMap<String, Chain>,
}

#[derive(Clone, Default)]
struct Chain {
    newest: u32,
    steps: BTreeMap<u32, (u32, Step)>,
}

/// Why data cannot be read as the newest version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpcastError {
    /// There is no step from this version.
    #[error(
        "{event_type} version {version} is older than any upcaster reads (newest: {newest}); add a step from it"
    )]
    TooOld {
        /// The event's type.
        event_type: String,
        /// Its version.
        version: u32,
        /// The version that is wanted.
        newest: u32,
    },
    /// It was written by a newer program.
    #[error(
        "{event_type} version {version} is newer than this program knows (newest: {newest}); update this program"
    )]
    TooNew {
        /// The event's type.
        event_type: String,
        /// Its version.
        version: u32,
        /// The newest version that is known.
        newest: u32,
    },
    /// Steps work on JSON, and the data is none.
    #[error("{event_type} version {version} is no JSON: {source}")]
    NotJson {
        /// The event's type.
        event_type: String,
        /// Its version.
        version: u32,
        /// Where it departs from JSON.
        source: serde_json::Error,
    },
    /// A step failed.
    #[error("the step of {event_type} from version {from} to {to} failed: {source}")]
    Failed {
        /// The event's type.
        event_type: String,
        /// The step's version of the data.
        from: u32,
        /// The version that it makes.
        to: u32,
        /// The step's own error.
        source: Cause,
    },
}

impl From<UpcastError> for Error {
    fn from(error: UpcastError) -> Self {
        Error::new(Kind::Decode, "upcast", error.to_string())
    }
}

impl Upcasters {
    /// No steps: everything passes as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// The newest version of a type that has no steps yet, so that newer data is noticed.
    pub fn current(mut self, event_type: impl Into<String>, version: u32) -> Self {
        let chain = self.types.entry(event_type.into()).or_default();
        chain.newest = chain.newest.max(version);
        self
    }

    /// Whether it has an opinion of events of this type.
    pub(super) fn knows(&self, event_type: &str) -> bool {
        self.types.contains_key(event_type)
    }

    /// Whether there is a chain of steps from one version to another.
    pub fn reach(&self, event_type: &str, from: u32, to: u32) -> bool {
        let Some(chain) = self.types.get(event_type) else { return from == to };
        let mut version = from;
        while let Some((next, _)) = chain.steps.get(&version).filter(|_| version < to) {
            version = *next;
        }
        version == to
    }

    /// Adds a function that makes data of version `from` into data of version `to`.
    ///
    /// # Errors
    /// `InvalidConfiguration`: `to` is not later than `from`, or there is a step from it already.
    pub fn step<F>(
        mut self,
        event_type: impl Into<String>,
        from: u32,
        to: u32,
        step: F,
    ) -> Result<Self, Error>
    where
        F: Fn(Value) -> Result<Value, Cause> + Send + Sync + 'static,
    {
        let event_type = event_type.into();
        let chain = self.types.entry(event_type.clone()).or_default();
        let reason = if to <= from {
            "must lead to a later version"
        } else if chain.steps.contains_key(&from) {
            "is there already"
        } else {
            chain.newest = chain.newest.max(to);
            chain.steps.insert(from, (to, Arc::new(step)));
            return Ok(self);
        };
        let text = format!("a step of {event_type} from version {from} to {to} {reason}");
        Err(Error::new(Kind::InvalidConfiguration, "configure upcasters", text))
    }

    /// The data as the newest version, and that version. Data of the newest version is not even looked at.
    ///
    /// # Errors
    /// Says what version of what type could not be read, and why; the data is the caller's still.
    pub fn upcast(&self, event_type: &str, version: u32, data: &Bytes) -> Result<(u32, Bytes), UpcastError> {
        let Some(chain) = self.types.get(event_type) else { return Ok((version, data.clone())) };
        let newest = chain.newest;
        if version == newest {
            return Ok((version, data.clone()));
        }
        if version > newest {
            return Err(UpcastError::TooNew { event_type: event_type.into(), version, newest });
        }
        let not_json = |source| UpcastError::NotJson { event_type: event_type.into(), version, source };
        let value = chain.run(event_type, version, serde_json::from_slice(data).map_err(not_json)?)?;
        Ok((newest, serde_json::to_vec(&value).map_err(not_json)?.into()))
    }
}

impl Chain {
    fn run(&self, event_type: &str, mut version: u32, mut value: Value) -> Result<Value, UpcastError> {
        while version < self.newest {
            let Some((to, step)) = self.steps.get(&version) else {
                return Err(UpcastError::TooOld {
                    event_type: event_type.into(),
                    version,
                    newest: self.newest,
                });
            };
            let (from, to) = (version, *to);
            value = step(value).map_err(|source| UpcastError::Failed {
                event_type: event_type.into(),
                from,
                to,
                source,
            })?;
            version = to;
        }
        Ok(value)
    }
}

impl fmt::Debug for Upcasters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chains = self
            .types
            .iter()
            .map(|(name, chain)| (name, chain.newest, chain.steps.keys().collect::<Vec<_>>()));
        f.debug_list().entries(chains).finish()
    }
}
