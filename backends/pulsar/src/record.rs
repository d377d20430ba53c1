//! A message as Pulsar's metadata, and back.
//!
//! CloudEvents has no binding for Pulsar; the names are those of its Kafka binding: attributes are properties `ce_*`, the
//! media type is `content-type`. The key is the message's key, in Base64 where it is no text, as Pulsar's other clients do.
//! Properties are text: a value that is none has its name after `base64:`.

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

use anybroker_core::{Attribute, Bytes, Message, Record, RecordBuffer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pulsar::proto::{KeyValue, MessageMetadata, SingleMessageMetadata};

const PREFIX: &str = "ce_";
const CONTENT_TYPE: &str = "content-type";
/// What a property's name begins with whose value is in Base64.
const BINARY: &str = "base64:";

/// Everything of a message but its payload; producer, number and time are the sender's.
pub(crate) fn metadata(message: &Message) -> MessageMetadata {
    let mut properties = Vec::with_capacity(message.headers.len() + message.extensions.len() + 6);
    message.attributes(|attribute, value| {
        properties.push(KeyValue { key: property(attribute).into_owned(), value: value.to_owned() });
    });
    if let Some(content_type) = &message.content_type {
        properties.push(KeyValue { key: CONTENT_TYPE.to_owned(), value: content_type.to_string() });
    }
    properties.extend(message.headers.iter().map(|(name, value)| header(name, value)));
    let key = message.key.as_ref().map(|key| partition_key(key.as_bytes()));
    let event_time = message.time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    MessageMetadata {
        properties,
        partition_key_b64_encoded: key.as_ref().map(|(_, encoded)| *encoded),
        partition_key: key.map(|(key, _)| key.into_owned()),
        event_time: event_time.map(|time| time.as_millis() as u64),
        ..Default::default()
    }
}

/// A key as text, and whether it is in Base64.
pub(crate) fn partition_key(key: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(key) {
        Ok(text) => (text.into(), false),
        Err(_) => (STANDARD.encode(key).into(), true),
    }
}

fn property(attribute: Attribute<'_>) -> Cow<'static, str> {
    let name = match attribute {
        Attribute::SpecVersion => "ce_specversion",
        Attribute::Id => "ce_id",
        Attribute::Type => "ce_type",
        Attribute::Source => "ce_source",
        Attribute::Time => "ce_time",
        Attribute::SchemaVersion => "ce_schemaversion",
        Attribute::Extension(name) => return format!("{PREFIX}{name}").into(),
    };
    name.into()
}

/// A header whose own name looks like one in Base64 is written in Base64 too, so that it reads back.
fn header(name: &str, value: &[u8]) -> KeyValue {
    match std::str::from_utf8(value).ok().filter(|_| !name.starts_with(BINARY)) {
        Some(text) => KeyValue { key: name.to_owned(), value: text.to_owned() },
        None => KeyValue { key: format!("{BINARY}{name}"), value: STANDARD.encode(value) },
    }
}

/// What a message is called and keyed by: of a whole entry, or of one message in a batch.
pub(crate) struct Described<'a> {
    pub(crate) properties: &'a [KeyValue],
    pub(crate) key: Option<&'a str>,
    pub(crate) encoded: bool,
}

impl<'a> From<&'a MessageMetadata> for Described<'a> {
    fn from(metadata: &'a MessageMetadata) -> Self {
        Described {
            properties: &metadata.properties,
            key: metadata.partition_key.as_deref(),
            encoded: metadata.partition_key_b64_encoded(),
        }
    }
}

impl<'a> From<&'a SingleMessageMetadata> for Described<'a> {
    fn from(metadata: &'a SingleMessageMetadata) -> Self {
        Described {
            properties: &metadata.properties,
            key: metadata.partition_key.as_deref(),
            encoded: metadata.partition_key_b64_encoded(),
        }
    }
}

/// Reads a message.
pub(crate) fn record(buffer: &mut RecordBuffer, described: Described<'_>, payload: Bytes) -> Record {
    let mut writer = buffer.record();
    match described.key.map(|key| (key, STANDARD.decode(key).ok().filter(|_| described.encoded))) {
        Some((_, Some(key))) => writer.key(&key),
        Some((key, None)) => writer.key(key.as_bytes()),
        None => {}
    }
    for KeyValue { key, value } in described.properties {
        let binary = key.strip_prefix(BINARY).and_then(|name| Some((name, STANDARD.decode(value).ok()?)));
        if let Some((name, value)) = binary {
            writer.header(name, &value);
        } else if let Some(attribute) = key.strip_prefix(PREFIX) {
            writer.attribute(attribute, value.as_bytes());
        } else if key == CONTENT_TYPE {
            writer.content_type(value.as_bytes());
        } else {
            writer.header(key, value.as_bytes());
        }
    }
    writer.finish(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_it_went() {
        let message = Message::new("x")
            .with_key(&b"\xff\x00"[..])
            .with_id("m-1")
            .with_type("order.placed")
            .with_content_type("text/plain")
            .with_extension("subject", "order-7")
            .with_header("tenant", "ä")
            .with_header("tenant", &b"\xff\x00"[..])
            .with_header("base64:odd", "text");
        let metadata = metadata(&message);
        assert_eq!(
            (metadata.partition_key.as_deref(), metadata.partition_key_b64_encoded()),
            (Some("/wA="), true)
        );
        let mut buffer = RecordBuffer::new();
        let record = record(&mut buffer, (&metadata).into(), message.payload.clone());
        let back = record.to_message();
        assert_eq!((&back.key, &back.id, &back.headers), (&message.key, &message.id, &message.headers));
        assert_eq!((back.event_type, back.extensions), (message.event_type, message.extensions));
        assert_eq!(back.content_type, message.content_type);
    }
}
