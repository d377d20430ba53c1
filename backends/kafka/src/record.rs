//! A message as a Kafka record, and back: CloudEvents' Kafka binding in binary mode.
//!
//! Attributes travel as `ce_*` headers and the media type as `content-type`
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md>); the ordering key
//! is the record's key.

use std::borrow::Cow;

use anybroker_core::kit::Incoming;
use anybroker_core::{Attribute, Error, Kind, Message, RecordBuffer};
use rdkafka::message::{Header, OwnedHeaders};

use crate::raw::Fields;

const PREFIX: &str = "ce_";
/// Stands for a header whose name cannot be read.
const UNREADABLE: &str = "unreadable-header";
const CONTENT_TYPE: &str = "content-type";

/// The record headers that carry everything of `message` but key and payload.
pub(crate) fn headers(message: &Message) -> OwnedHeaders {
    let mut headers =
        Some(OwnedHeaders::new_with_capacity(message.headers.len() + message.extensions.len() + 6));
    let mut add = |key: &str, value: &[u8]| {
        headers = headers.take().map(|all| all.insert(Header { key, value: Some(value) }));
    };
    message.attributes(|attribute, value| add(&header_name(attribute), value.as_bytes()));
    if let Some(content_type) = &message.content_type {
        add(CONTENT_TYPE, content_type.as_bytes());
    }
    message.headers.iter().for_each(|(name, value)| add(name, value));
    headers.unwrap_or_default()
}

fn header_name(attribute: Attribute<'_>) -> Cow<'static, str> {
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

/// At most so many bytes does `message` take in a produce request: the batch's header (61), the record's own fields
/// at their longest (36), and for every header two lengths of at most 5 bytes each
/// (<https://kafka.apache.org/documentation/#recordbatch>).
fn wire_bytes(message: &Message) -> usize {
    const BATCH: usize = 61;
    const RECORD: usize = 36;
    const LENGTHS: usize = 10;
    let key = message.key.as_ref().map_or(0, |key| key.as_bytes().len());
    let mut bytes = BATCH + RECORD + key + message.payload.len();
    let mut add = |name: &str, value: &[u8]| bytes += LENGTHS + name.len() + value.len();
    message.attributes(|attribute, value| add(&header_name(attribute), value.as_bytes()));
    if let Some(content_type) = &message.content_type {
        add(CONTENT_TYPE, content_type.as_bytes());
    }
    message.headers.iter().for_each(|(name, value)| add(name, value));
    bytes
}

/// Whether it fits whatever its attributes, so that nobody needs to measure it.
fn is_surely_small(message: &Message, max_message_bytes: usize) -> bool {
    let names = message.headers.len() + message.extensions.len();
    names <= FEW && message.size().saturating_add(RESERVE) <= max_message_bytes
}

/// Room for the longest attributes and for the lengths of so [`FEW`] headers, beside what [`Message::size`] counts.
const RESERVE: usize = 2048;
const FEW: usize = 40;

/// The largest message, as [`Message::size`] counts it, that a topic with `max.message.bytes` takes whatever its
/// attributes: room is left for their longest values and for the lengths of a few dozen headers. A message with more
/// headers than that is measured by itself.
pub(crate) fn largest(max_message_bytes: usize) -> usize {
    max_message_bytes.saturating_sub(RESERVE).max(max_message_bytes / 4)
}

/// Why a topic with `max_message_bytes` cannot take a message.
pub(crate) fn refusal(message: &Message, max_message_bytes: usize) -> Option<Error> {
    if message.headers.get(CONTENT_TYPE).is_some() {
        let text = "the header name `content-type` is that of the message's media type on Kafka";
        let advice = "set the message's content type instead";
        return Some(Error::new(Kind::InvalidConfiguration, "publish", text).advice(advice));
    }
    if is_surely_small(message, max_message_bytes) {
        return None;
    }
    let bytes = wire_bytes(message);
    (bytes > max_message_bytes).then(|| {
        let text = format!("{bytes} bytes with its headers; the topic takes {max_message_bytes}");
        Error::new(Kind::TooLarge, "publish", text).advice("raise the topic's max.message.bytes")
    })
}

/// A record as the session takes it in, as if nobody had had it before.
pub(crate) fn incoming(buffer: &mut RecordBuffer, record: Fields<'_>) -> Incoming {
    let mut writer = buffer.record();
    if let Some(key) = record.key() {
        writer.key(key);
    }
    for (name, value) in record.headers() {
        let Some(name) = name else {
            // Which only foreign producers write.
            tracing::warn!(offset = record.offset(), "a header's name is not UTF-8, and is left out");
            writer.header(UNREADABLE, b"");
            continue;
        };
        match name.strip_prefix(PREFIX) {
            Some(attribute) => writer.attribute(attribute, value),
            None if name == CONTENT_TYPE => writer.content_type(value),
            None => writer.header(name, value),
        }
    }
    Incoming {
        record: writer.finish_copying(record.payload()),
        native: record.offset(),
        offset: Some(record.offset()),
        stored: record.stored(),
        attempts: 0,
        redelivered: false,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;

    use super::*;

    #[test]
    fn a_message_becomes_headers_of_the_kafka_binding() {
        let message = Message::new("x")
            .with_id("m-1")
            .with_type("order.placed")
            .with_content_type("text/plain")
            .with_extension("subject", "order-7")
            .with_header("tenant", "ä")
            .with_header("tenant", &b"\xff\x00"[..]);
        let headers = headers(&message);
        let all: Vec<_> = headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap().to_vec())).collect();
        let expected: Vec<(String, Vec<u8>)> = [
            ("ce_id", "m-1".as_bytes()),
            ("ce_specversion", b"1.0"),
            ("ce_type", b"order.placed"),
            ("ce_source", b"/anybroker"),
            ("ce_subject", b"order-7"),
            ("content-type", b"text/plain"),
            ("tenant", "ä".as_bytes()),
            ("tenant", b"\xff\x00"),
        ]
        .map(|(n, v)| (n.to_owned(), v.to_vec()))
        .to_vec();
        assert_eq!(all, expected);
    }

    #[test]
    fn the_largest_message_fits_whatever_its_attributes() {
        let longest = "x".repeat(255);
        let mut message = Message::new("").with_id(longest.as_str()).with_type(longest.as_str());
        message.source = Some(longest.as_str().into());
        message.content_type = Some(longest.as_str().into());
        message.time = Some(std::time::SystemTime::now());
        message.schema_version = Some(u32::MAX);
        for i in 0..FEW / 2 {
            message.headers.append(format!("header-{i}"), "value");
            message.extensions.push((format!("extension{i}").into(), "value".into()));
        }
        let limit = largest(1_048_588);
        message.payload = vec![0; limit - message.size()].into();
        assert_eq!(message.size(), limit);
        assert!(is_surely_small(&message, 1_048_588) && wire_bytes(&message) <= 1_048_588);
    }
}
