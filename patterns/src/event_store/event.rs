//! Events before and after they are stored.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anybroker_core::{Bytes, Error, Event, Kind, Result};
use uuid::Uuid;

/// The longest stream name or event type, in bytes; they stand in indexes.
const LONGEST: usize = 512;

/// What is known of an event besides its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Identity, a UUID v7 unless it was set.
    pub id: Uuid,
    /// When it happened, in microseconds.
    pub time: SystemTime,
    /// What all messages of one business process have in common.
    pub correlation: Option<String>,
    /// The id of the message that this event follows from.
    pub causation: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// Whatever else the application keeps with the event.
    pub headers: BTreeMap<String, String>,
}

impl Default for Metadata {
    /// A new id, and the present time.
    fn default() -> Self {
        Metadata {
            id: Uuid::now_v7(),
            time: from_micros(to_micros(SystemTime::now())),
            correlation: None,
            causation: None,
            actor: None,
            headers: BTreeMap::new(),
        }
    }
}

/// An event to append.
///
/// ```
/// use anybroker_patterns::event_store::NewEvent;
/// let event = NewEvent::new("order.placed", 1, r#"{"cents":250}"#).by("ann").correlated("checkout-7");
/// assert_eq!(event.metadata.actor.as_deref(), Some("ann"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// What happened, in the past tense: `order.placed`.
    pub event_type: String,
    /// The version of the data's schema.
    pub schema_version: u32,
    /// The content, usually JSON.
    pub data: Bytes,
    /// Identity, time, origin.
    pub metadata: Metadata,
}

impl NewEvent {
    /// An event that happens now.
    pub fn new(event_type: impl Into<String>, schema_version: u32, data: impl Into<Bytes>) -> Self {
        NewEvent {
            event_type: event_type.into(),
            schema_version,
            data: data.into(),
            metadata: Metadata::default(),
        }
    }

    /// A typed event as JSON.
    ///
    /// # Errors
    /// `Decode` if the value cannot be written as JSON.
    pub fn of<E: Event>(event: &E) -> Result<Self> {
        let data = serde_json::to_vec(event).map_err(|error| {
            Error::new(Kind::Decode, "append", format!("{} cannot be written as JSON", E::TYPE))
                .with_source(error)
        })?;
        Ok(Self::new(E::TYPE, E::VERSION, data))
    }

    /// Sets the id.
    pub fn with_id(mut self, id: Uuid) -> Self {
        self.metadata.id = id;
        self
    }

    /// Sets when it happened; kept in microseconds.
    pub fn at(mut self, time: SystemTime) -> Self {
        self.metadata.time = from_micros(to_micros(time));
        self
    }

    /// Sets who did it.
    pub fn by(mut self, actor: impl Into<String>) -> Self {
        self.metadata.actor = Some(actor.into());
        self
    }

    /// Sets the business process that it belongs to.
    pub fn correlated(mut self, correlation: impl Into<String>) -> Self {
        self.metadata.correlation = Some(correlation.into());
        self
    }

    /// Sets the message that it follows from.
    pub fn caused_by(mut self, causation: impl Into<String>) -> Self {
        self.metadata.causation = Some(causation.into());
        self
    }

    /// Sets a header.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.headers.insert(name.into(), value.into());
        self
    }

    /// Refuses what a column could not hold, before it could spoil a transaction.
    pub(crate) fn validate(&self) -> Result<()> {
        check_name("event type", &self.event_type)?;
        if i32::try_from(self.schema_version).is_err() {
            return Err(invalid(format!("the schema version {} is too large", self.schema_version)));
        }
        let metadata = &self.metadata;
        let texts = [
            ("correlation", &metadata.correlation),
            ("causation", &metadata.causation),
            ("actor", &metadata.actor),
        ];
        match texts.iter().find(|(_, text)| text.as_ref().is_some_and(|text| text.contains('\0'))) {
            Some((name, _)) => Err(invalid(format!("the {name} has a zero byte"))),
            None => Ok(()),
        }
    }

    /// The headers as their column holds them.
    pub(crate) fn headers(&self) -> Option<String> {
        let headers = &self.metadata.headers;
        // A map of strings can always be written.
        (!headers.is_empty()).then(|| serde_json::to_string(headers).unwrap_or_default())
    }

    /// Bytes that count towards a batch.
    pub(crate) fn size(&self) -> usize {
        const COLUMNS: usize = 128;
        self.data.len() + self.event_type.len() + COLUMNS
    }
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Where it is in the order of all events; grows, with gaps.
    pub position: u64,
    /// The stream that it belongs to.
    pub stream: String,
    /// Where it is in its stream: 1, 2, 3, …
    pub version: u64,
    /// What happened.
    pub event_type: String,
    /// The version of the data's schema: after the upcasters, the newest.
    pub schema_version: u32,
    /// The content, usually JSON.
    pub data: Bytes,
    /// Identity, time, origin.
    pub metadata: Metadata,
}

impl Recorded {
    /// The content read as JSON.
    ///
    /// # Errors
    /// `Decode` names the event.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.data).map_err(|error| {
            Error::new(Kind::Decode, "decode", "the data is not the expected JSON")
                .on(self.place())
                .with_source(error)
        })
    }

    /// Whether it has the type of `E`.
    pub fn is<E: Event>(&self) -> bool {
        self.event_type == E::TYPE
    }

    /// The content as the event `E`, whose type and version must be this one's.
    ///
    /// # Errors
    /// `Decode` names the event.
    pub fn event<E: Event>(&self) -> Result<E> {
        if !self.is::<E>() || self.schema_version != E::VERSION {
            let text = format!("expected {} version {}", E::TYPE, E::VERSION);
            let error = Error::new(Kind::Decode, "decode", text).on(self.place());
            return Err(error.advice("give the event store an upcaster to that version"));
        }
        self.json()
    }

    #[doc(hidden)]
    pub fn unknown_to(&self, events: &str) -> Error {
        let text = format!("{events} has no event of this type");
        Error::new(Kind::Decode, "decode", text)
            .on(self.place())
            .advice("update this program, or declare the type")
    }

    /// Which event this is, for people.
    pub fn place(&self) -> String {
        let Recorded { position, stream, version, event_type, schema_version, .. } = self;
        format!(
            "event {version} of stream `{stream}` (position {position}, {event_type} version {schema_version})"
        )
    }
}

/// Refuses names that the tables could not hold.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > LONGEST || name.contains('\0') {
        let text = format!("the {what} `{name:.60}` must have 1 to {LONGEST} bytes, none of them zero");
        return Err(invalid(text));
    }
    Ok(())
}

fn invalid(text: String) -> Error {
    Error::new(Kind::InvalidConfiguration, "append", text)
}

/// Microseconds since 1970; negative before.
pub(crate) fn to_micros(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
    }
}

pub(crate) fn from_micros(micros: i64) -> SystemTime {
    let distance = Duration::from_micros(micros.unsigned_abs());
    let time = if micros < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}
