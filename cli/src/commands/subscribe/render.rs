//! A message as a line.

use std::time::SystemTime;

use anybroker::{Delivery, Topic};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::args::Format;
use crate::failure::Failure;
use crate::output::{Lines, Place};

/// Adds the line of `delivery`.
pub(super) fn render(
    lines: &mut Lines,
    format: Format,
    delivery: &Delivery,
    topic: &Topic,
) -> Result<(), Failure> {
    match format {
        Format::Json => lines.json(&Line::of(delivery, topic)),
        Format::Human => {
            lines.text(&human(delivery));
            Ok(())
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    id: Option<String>,
    topic: &'a str,
    #[serde(flatten)]
    key: KeyField<'a>,
    headers: HeaderMap<'a>,
    #[serde(rename = "type")]
    event_type: Option<&'a str>,
    #[serde(flatten)]
    payload: PayloadField<'a>,
    position: Option<Place>,
    attempt: u32,
    redelivered: bool,
    time: Option<String>,
}

#[derive(Serialize)]
enum KeyField<'a> {
    #[serde(rename = "key")]
    Text(Option<&'a str>),
    #[serde(rename = "key_base64")]
    Binary(String),
}

#[derive(Serialize)]
enum PayloadField<'a> {
    #[serde(rename = "payload")]
    Text(&'a str),
    #[serde(rename = "payload_base64")]
    Binary(String),
}

impl<'a> Line<'a> {
    fn of(delivery: &'a Delivery, topic: &'a Topic) -> Self {
        Line {
            id: delivery.id().map(|id| id.to_string()),
            topic: topic.as_str(),
            key: match delivery.key().map(|key| (key, std::str::from_utf8(key))) {
                None => KeyField::Text(None),
                Some((_, Ok(text))) => KeyField::Text(Some(text)),
                Some((key, Err(_))) => KeyField::Binary(STANDARD.encode(key)),
            },
            headers: HeaderMap::of(delivery.headers()),
            event_type: delivery.event_type(),
            payload: match std::str::from_utf8(delivery.payload()) {
                Ok(text) => PayloadField::Text(text),
                Err(_) => PayloadField::Binary(STANDARD.encode(delivery.payload())),
            },
            position: delivery.position().map(Place::from),
            attempt: delivery.attempt(),
            redelivered: delivery.redelivered(),
            time: delivery.time().map(rfc3339),
        }
    }
}

/// Headers by name, in the order of each name's first value.
struct HeaderMap<'a>(Vec<(&'a str, Vec<&'a [u8]>)>);

impl<'a> HeaderMap<'a> {
    fn of(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut by_name: Vec<(&str, Vec<&[u8]>)> = Vec::new();
        for (name, value) in headers {
            match by_name.iter_mut().find(|(n, _)| *n == name) {
                Some((_, values)) => values.push(value),
                None => by_name.push((name, vec![value])),
            }
        }
        HeaderMap(by_name)
    }
}

impl Serialize for HeaderMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in &self.0 {
            match &values[..] {
                [value] => map.serialize_entry(name, &header_value(value))?,
                values => {
                    map.serialize_entry(name, &values.iter().map(|v| header_value(v)).collect::<Vec<_>>())?;
                }
            }
        }
        map.end()
    }
}

fn header_value(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(value) }),
    }
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// Time, place, key, type, attempt if it is not the first, and the payload without anything that a terminal obeys.
fn human(delivery: &Delivery) -> String {
    let mut parts = Vec::new();
    parts.extend(delivery.time().map(rfc3339));
    parts.extend(delivery.position().map(|p| format!("{}:{}", p.partition, p.offset)));
    parts.extend(delivery.key().map(|key| format!("key={}", printable(key))));
    parts.extend(delivery.event_type().map(|t| format!("type={}", printable(t.as_bytes()))));
    let headers = delivery.headers();
    parts.extend(headers.map(|(name, value)| format!("{}={}", printable(name.as_bytes()), printable(value))));
    if delivery.redelivered() {
        parts.push(format!("attempt={}", delivery.attempt()));
    }
    parts.push(printable(delivery.payload()));
    parts.join("  ")
}

fn printable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.chars().flat_map(Printable::of).collect(),
        Err(_) => format!("<{} bytes>", bytes.len()),
    }
}

/// A character, or its escape if it is a control character.
enum Printable {
    Plain(Option<char>),
    Escaped(std::char::EscapeDefault),
}

impl Printable {
    fn of(c: char) -> Self {
        if c.is_control() { Printable::Escaped(c.escape_default()) } else { Printable::Plain(Some(c)) }
    }
}

impl Iterator for Printable {
    type Item = char;
    fn next(&mut self) -> Option<char> {
        match self {
            Printable::Plain(c) => c.take(),
            Printable::Escaped(escape) => escape.next(),
        }
    }
}
