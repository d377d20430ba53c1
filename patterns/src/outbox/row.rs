//! A message as a row, and back.

use std::time::SystemTime;

#[cfg(feature = "postgres")]
use anybroker_core::kit::crc32;
use anybroker_core::{Error, Kind, Message, Result, Topic};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Messages of one key wait for each other's transactions; so do, seldom, those of two keys of one slot. A transaction
/// holds at most this many locks, however many keys it writes.
#[cfg(feature = "postgres")]
const SLOTS: u32 = 1024;
/// Parts of the outbox that are relayed side by side. A key is in one lane for ever.
#[cfg(feature = "postgres")]
pub(crate) const LANES: u16 = 16;

/// A row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number, in the order of staging; none before it is stored.
    pub id: i64,
    /// The part of the outbox that it is in, by its key; 0 where there is only one.
    pub lane: u16,
    /// The topic that it goes to.
    pub topic: String,
    /// The message's key.
    pub key: Option<Vec<u8>>,
    /// The message's id: brokers that deduplicate do so by it.
    pub message_id: String,
    /// Everything else of the message but its payload, as JSON.
    pub attributes: Option<String>,
    /// The message's payload.
    pub payload: Vec<u8>,
    /// When it was staged.
    pub staged_at: SystemTime,
}

/// A header's value: text where it can be, so that people can read the table.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Binary { base64: String },
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attributes {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    extensions: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, Value)>,
}

impl Row {
    /// A message for a topic.
    ///
    /// # Errors
    /// `InvalidConfiguration`: the message breaks a rule of every broker; better now than in the relay.
    pub fn new(topic: &Topic, message: Message) -> Result<Self> {
        message.validate()?;
        Ok(Row {
            id: 0,
            lane: 0,
            topic: topic.as_str().to_owned(),
            attributes: attributes(&message)?,
            key: message.key.map(|key| key.as_bytes().to_vec()),
            message_id: message.id.to_string(),
            payload: message.payload.into(),
            staged_at: SystemTime::UNIX_EPOCH,
        })
    }

    /// The message.
    ///
    /// # Errors
    /// `Decode`: somebody else wrote the row.
    pub fn message(&self) -> Result<Message> {
        let mut message = Message::new(Bytes::from(self.payload.clone())).with_id(self.message_id.as_str());
        message.key = self.key.as_ref().map(|key| key.clone().into());
        if let Some(text) = &self.attributes {
            let attributes: Attributes = serde_json::from_str(text).map_err(undecodable)?;
            fill(&mut message, attributes)?;
        }
        message.validate()?;
        Ok(message)
    }

    /// What its key shares its locks with.
    #[cfg(feature = "postgres")]
    pub(crate) fn slot(&self) -> u32 {
        crc32(self.key.as_deref().unwrap_or(self.message_id.as_bytes())) % SLOTS
    }

    /// The lane of its slot.
    #[cfg(feature = "postgres")]
    pub(crate) fn home(&self) -> u16 {
        (self.slot() % u32::from(LANES)) as u16
    }

    /// What it takes of the memory, about.
    pub(crate) fn size(&self) -> usize {
        self.payload.len() + self.attributes.as_ref().map_or(0, String::len) + 200
    }
}

fn attributes(message: &Message) -> Result<Option<String>> {
    let text = |value: &Option<bytestring::ByteString>| value.as_ref().map(ToString::to_string);
    let header = |(name, value): (&str, &Bytes)| {
        let value = match str::from_utf8(value) {
            Ok(text) if !text.contains('\0') => Value::Text(text.to_owned()),
            _ => Value::Binary { base64: STANDARD.encode(value) },
        };
        (name.to_owned(), value)
    };
    let attributes = Attributes {
        event_type: text(&message.event_type),
        schema_version: message.schema_version,
        source: text(&message.source),
        content_type: text(&message.content_type),
        time: message.time.map(|time| humantime::format_rfc3339_nanos(time).to_string()),
        extensions: message.extensions.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        headers: message.headers.iter().map(header).collect(),
    };
    let written = serde_json::to_string(&attributes).map_err(|error| {
        Error::new(Kind::Unexpected, "stage", "the message's attributes cannot be written").with_source(error)
    })?;
    Ok(Some(written).filter(|written| written != "{}"))
}

fn fill(message: &mut Message, attributes: Attributes) -> Result<()> {
    message.event_type = attributes.event_type.map(Into::into);
    message.schema_version = attributes.schema_version;
    message.source = attributes.source.map(Into::into);
    message.content_type = attributes.content_type.map(Into::into);
    message.time = match attributes.time {
        Some(time) => Some(humantime::parse_rfc3339(&time).map_err(undecodable)?),
        None => None,
    };
    message.extensions = attributes.extensions.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
    for (name, value) in attributes.headers {
        let value = match value {
            Value::Text(text) => Bytes::from(text),
            Value::Binary { base64 } => STANDARD.decode(base64).map_err(undecodable)?.into(),
        };
        message.headers.append(name, value);
    }
    Ok(())
}

fn undecodable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::Decode, "relay", "the row's attributes are not what the outbox writes")
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_a_message_comes_back() {
        let topic = Topic::new("orders").unwrap();
        let mut message = Message::new(&b"\x00\xff"[..])
            .with_key(&b"\xfe"[..])
            .with_type("order.placed")
            .with_source("shop")
            .with_content_type("application/json")
            .with_time(SystemTime::UNIX_EPOCH + std::time::Duration::new(1_700_000_000, 123_456_789))
            .with_header("a", "text")
            .with_header("a", &b"\xff"[..])
            .with_header("nul", "\0")
            .with_extension("traceparent", "00-1-2-3");
        message.schema_version = Some(3);
        let row = Row::new(&topic, message.clone()).unwrap();
        assert_eq!(row.message().unwrap(), message);
        let plain = Row::new(&topic, Message::new("x").with_id("not a uuid")).unwrap();
        assert_eq!((plain.attributes.as_ref(), plain.message().unwrap().id), (None, "not a uuid".into()));
    }

    #[test]
    fn a_foreign_row_is_refused() {
        let mut row = Row::new(&Topic::new("orders").unwrap(), Message::new("x")).unwrap();
        for attributes in
            ["{", "[]", r#"{"colour": 1}"#, r#"{"time": "noon"}"#, r#"{"headers": [["a", {"base64": "%"}]]}"#]
        {
            row.attributes = Some(attributes.into());
            assert_eq!(row.message().unwrap_err().kind(), Kind::Decode, "{attributes}");
        }
    }
}
