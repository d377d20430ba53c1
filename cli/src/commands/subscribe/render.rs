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

/// A message as JSON.
#[derive(Serialize)]
pub(in crate::commands) struct Line<'a> {
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
    pub(in crate::commands) fn of(delivery: &'a Delivery, topic: &'a Topic) -> Self {
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

pub(in crate::commands) fn rfc3339(time: SystemTime) -> String {
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

/// Text without anything that a terminal obeys.
pub(in crate::commands) fn printable(bytes: &[u8]) -> String {
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

#[cfg(test)]
mod tests {
    use anybroker::{
        Group, Held, Message, Position, Provenance, Record, RecordBuffer, Result, SettleError, Settled,
        Settlement, Settler, Token, async_trait,
    };

    use super::*;

    /// Settles nothing.
    struct NoSettler;

    #[async_trait]
    impl Settler for NoSettler {
        async fn settle(&self, _: Vec<Settlement>) -> Vec<Result<Settled, SettleError>> {
            Vec::new()
        }
        async fn flush(&self) -> Result<Held> {
            Ok(Held::default())
        }
        fn release(&self, _: Token) {}
        fn topic(&self) -> &Topic {
            unreachable!()
        }
        fn group(&self) -> &Group {
            unreachable!()
        }
    }

    fn delivery(record: Record, provenance: Provenance) -> Delivery {
        let token = Token { partition: 3, generation: 1, sequence: 0, handout: 1, attempt: 1 };
        Delivery::new(record, token, provenance, std::sync::Arc::new(NoSettler))
    }

    fn line(message: &Message, provenance: Provenance) -> String {
        let delivery = delivery(RecordBuffer::new().encode(message), provenance);
        serde_json::to_string(&Line::of(&delivery, &Topic::new("t").unwrap())).unwrap()
    }

    #[test]
    fn the_form_that_others_script_against() {
        let mut message = Message::new("☃").with_id("m").with_key("k").with_type("y").with_header("b", "1");
        message = message.with_header("a", "1").with_header("b", &b"\xff"[..]);
        let position = Some(Position { partition: 3, offset: 7 });
        let provenance = Provenance { position, stored: 1_500, failures: 1, redelivered: true };
        assert_eq!(
            line(&message, provenance),
            r#"{"id":"m","topic":"t","key":"k","headers":{"b":["1",{"base64":"/w=="}],"a":"1"},"type":"y","payload":"☃","position":{"partition":3,"offset":7},"attempt":1,"redelivered":true,"time":"1970-01-01T00:00:01.500Z"}"#
        );
    }

    #[test]
    fn what_is_absent_is_null_and_what_is_binary_is_base64() {
        let message = Message::new(&b"\xff"[..]).with_id("m");
        assert_eq!(
            line(&message, Provenance::default()),
            r#"{"id":"m","topic":"t","key":null,"headers":{},"type":null,"payload_base64":"/w==","position":null,"attempt":1,"redelivered":false,"time":null}"#
        );
        let message = message.with_key(&b"\xfe"[..]);
        assert!(line(&message, Provenance::default()).contains(r#""key_base64":"/g==""#));
        let foreign = delivery(RecordBuffer::new().record().finish_copying(b"x"), Provenance::default());
        let json = serde_json::to_value(Line::of(&foreign, &Topic::new("t").unwrap())).unwrap();
        assert!(json["id"].is_null());
    }

    #[test]
    fn a_terminal_is_told_nothing() {
        let message = Message::new("a\x1b[31m\nb ☃").with_key(&b"\xff"[..]);
        let human = human(&delivery(RecordBuffer::new().encode(&message), Provenance::default()));
        assert_eq!(human, "key=<1 bytes>  a\\u{1b}[31m\\nb ☃");
    }
}
