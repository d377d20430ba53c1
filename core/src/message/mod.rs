//! What is published: a payload with a key, headers and CloudEvents attributes.

mod attributes;
mod headers;
mod id;
mod key;
mod record;
mod typed;

use std::time::SystemTime;

use bytes::Bytes;
use bytestring::ByteString;

pub use attributes::Attribute;
pub(crate) use attributes::{check_extension, rfc3339};
pub(crate) use headers::MAX_NAME;
pub use headers::{Headers, IntoValue};
pub use id::MessageId;
pub use key::Key;
pub use record::{Record, RecordBuffer, RecordWriter};
pub use typed::Event;

use crate::error::{Error, Kind, Result};

/// A message to publish. Cloning shares the payload.
///
/// ```
/// use anybroker_core::Message;
/// let message = Message::new("42 apples").with_key("order-7").with_header("tenant", "acme");
/// assert_eq!(message.payload, "42 apples");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Identity and deduplication id.
    pub id: MessageId,
    /// What it is ordered by; without a key no order is promised.
    pub key: Option<Key>,
    /// The application's own headers.
    pub headers: Headers,
    /// The content, byte for byte.
    pub payload: Bytes,
    /// CloudEvents' `type`. With a type, the message goes out as a complete CloudEvent in binary mode.
    pub event_type: Option<ByteString>,
    /// The version of the payload's schema (extension attribute `schemaversion`).
    pub schema_version: Option<u32>,
    /// CloudEvents' `source`: who made it. [`DEFAULT_SOURCE`] stands in where a type is set and this is not.
    pub source: Option<ByteString>,
    /// The media type of the payload.
    pub content_type: Option<ByteString>,
    /// When it happened; carried in milliseconds.
    pub time: Option<SystemTime>,
    /// Further CloudEvents attributes, by name: `subject`, `dataschema`, `traceparent`, … They have no order: a message made
    /// of a record has them sorted. Where the key travels as the attribute `partitionkey` (RabbitMQ), it stands before
    /// one of that name in here.
    pub extensions: Vec<(ByteString, ByteString)>,
}

/// The `source` of CloudEvents whose message names none.
pub const DEFAULT_SOURCE: &str = "/anybroker";

impl Default for Message {
    fn default() -> Self {
        Message::new(Bytes::new())
    }
}

impl Message {
    /// A message with a new id and nothing but a payload.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Message {
            id: MessageId::new(),
            key: None,
            headers: Headers::new(),
            payload: payload.into(),
            event_type: None,
            schema_version: None,
            source: None,
            content_type: None,
            time: None,
            extensions: Vec::new(),
        }
    }

    /// Sets the ordering key.
    pub fn with_key(mut self, key: impl Into<Key>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the id, which is also the deduplication id.
    pub fn with_id(mut self, id: impl Into<MessageId>) -> Self {
        self.id = id.into();
        self
    }

    /// Appends a header.
    pub fn with_header(mut self, name: impl Into<ByteString>, value: impl IntoValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the event type: the message becomes a complete CloudEvent.
    pub fn with_type(mut self, event_type: impl Into<ByteString>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// Sets who made it.
    pub fn with_source(mut self, source: impl Into<ByteString>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Sets when it happened.
    pub fn with_time(mut self, time: SystemTime) -> Self {
        self.time = Some(time);
        self
    }

    /// Sets the media type of the payload.
    pub fn with_content_type(mut self, content_type: impl Into<ByteString>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Adds a further CloudEvents attribute, such as `subject`.
    pub fn with_extension(mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) -> Self {
        self.extensions.push((name.into(), value.into()));
        self
    }

    /// Whether it is a complete CloudEvent: one with a type. What is none need not have its id in an attribute, where the
    /// protocol has a field of its own for it.
    pub fn is_event(&self) -> bool {
        self.event_type.is_some()
    }

    /// Bytes that count towards windows and limits: payload, key, headers, extensions and a flat share for the other
    /// attributes.
    pub fn size(&self) -> usize {
        const ATTRIBUTES: usize = 64;
        let key = self.key.as_ref().map_or(0, |k| k.as_bytes().len());
        let extensions: usize = self.extensions.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.payload.len() + key + self.headers.size() + extensions + ATTRIBUTES
    }

    /// Refuses what no backend could carry, before anything is sent.
    ///
    /// # Errors
    /// [`Kind::InvalidConfiguration`]: a header name, an empty id, an empty or unprintable attribute, or an extension's name.
    pub fn validate(&self) -> Result<()> {
        self.headers.validate()?;
        self.extensions.iter().try_for_each(|(name, value)| check_extension(name, value))?;
        if let MessageId::Text(id) = &self.id {
            check_text("id", id)?;
        }
        let check = |name, text: &Option<ByteString>| text.iter().try_for_each(|text| check_text(name, text));
        check("type", &self.event_type)?;
        check("source", &self.source)?;
        check("content type", &self.content_type)
    }
}

fn check_text(name: &str, text: &str) -> Result<()> {
    if !text.is_empty() && text.len() <= MAX_NAME && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let text = format!("the message's {name} must be 1 to {MAX_NAME} bytes without control characters");
    Err(Error::new(Kind::InvalidConfiguration, "publish", text))
}
