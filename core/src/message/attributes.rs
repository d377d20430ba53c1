//! CloudEvents 1.0 attributes in binary mode, the same for every backend.
//!
//! Each adapter writes them under its protocol binding's prefix (`ce_` on Kafka, `cloudEvents_` on AMQP 0-9-1),
//! and the content type in the protocol's own field.

use std::io::Write;
use std::str;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{DEFAULT_SOURCE, Message, MessageId};

/// The attributes that the contract knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `specversion`, always `1.0`; only on complete CloudEvents.
    SpecVersion,
    /// `id`.
    Id,
    /// `type`.
    Type,
    /// `source`.
    Source,
    /// `time`, RFC 3339 in UTC with milliseconds.
    Time,
    /// `schemaversion`, our extension: a whole number.
    SchemaVersion,
}

impl Attribute {
    /// The attribute's name as CloudEvents writes it, without a prefix.
    pub fn name(self) -> &'static str {
        match self {
            Attribute::SpecVersion => "specversion",
            Attribute::Id => "id",
            Attribute::Type => "type",
            Attribute::Source => "source",
            Attribute::Time => "time",
            Attribute::SchemaVersion => "schemaversion",
        }
    }

    /// The attribute of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        use Attribute::*;
        [SpecVersion, Id, Type, Source, Time, SchemaVersion].into_iter().find(|a| a.name() == name)
    }
}

impl Message {
    /// Calls `write` with every attribute that goes on the wire; allocates nothing.
    ///
    /// The id is always written. A message with an event type is written as a complete CloudEvent, with
    /// `specversion`, `type` and `source`.
    pub fn attributes(&self, mut write: impl FnMut(Attribute, &str)) {
        let mut buffer = [0u8; 40];
        match &self.id {
            MessageId::Uuid(uuid) => write(Attribute::Id, uuid.as_hyphenated().encode_lower(&mut buffer)),
            MessageId::Text(text) => write(Attribute::Id, text),
        }
        if let Some(event_type) = &self.event_type {
            write(Attribute::SpecVersion, "1.0");
            write(Attribute::Type, event_type);
        }
        match &self.source {
            Some(source) => write(Attribute::Source, source),
            None if self.event_type.is_some() => write(Attribute::Source, DEFAULT_SOURCE),
            None => {}
        }
        if let Some(time) = self.time {
            write(Attribute::Time, format_time(time, &mut buffer));
        }
        if let Some(version) = self.schema_version {
            write(Attribute::SchemaVersion, format_into(version, &mut buffer));
        }
    }
}

fn format_time(time: SystemTime, buffer: &mut [u8; 40]) -> &str {
    // Before 1970 or after 9999 there is no RFC 3339 form that the formatter can write.
    let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    format_into(humantime::format_rfc3339_millis(time.clamp(UNIX_EPOCH, last)), buffer)
}

fn format_into(value: impl std::fmt::Display, buffer: &mut [u8; 40]) -> &str {
    let mut rest = &mut buffer[..];
    // 40 bytes hold every number and every time.
    let written = match write!(rest, "{value}") {
        Ok(()) => 40 - rest.len(),
        Err(_) => 0,
    };
    str::from_utf8(&buffer[..written]).unwrap_or_default()
}

/// Milliseconds since 1970 of an RFC 3339 text.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    let time = humantime::parse_rfc3339(text).or_else(|_| humantime::parse_rfc3339_weak(text)).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(message: &Message) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        message.attributes(|a, v| all.push((a.name(), v.to_owned())));
        all
    }

    #[test]
    fn plain_messages_carry_only_their_id() {
        assert_eq!(written(&Message::new("x").with_id("a")), [("id", "a".into())]);
    }

    #[test]
    fn typed_messages_are_complete_cloud_events() {
        let mut message = Message::new("x").with_id("a").with_type("t");
        message.time = Some(UNIX_EPOCH + Duration::from_millis(1_500));
        message.schema_version = Some(3);
        let expected = [
            ("id", "a"),
            ("specversion", "1.0"),
            ("type", "t"),
            ("source", "/anybroker"),
            ("time", "1970-01-01T00:00:01.500Z"),
            ("schemaversion", "3"),
        ];
        assert_eq!(written(&message), expected.map(|(n, v)| (n, v.to_owned())));
        assert_eq!(parse_time("1970-01-01T00:00:01.500Z"), Some(1_500));
    }
}
