//! CloudEvents 1.0 attributes in binary mode, the same for every backend.
//!
//! Each adapter writes them under its protocol binding's prefix (`ce_` on Kafka, `cloudEvents_` on AMQP 0-9-1),
//! and the content type in the protocol's own field.

use std::io::Write;
use std::str;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{DEFAULT_SOURCE, Message, MessageId};
use crate::error::{Error, Kind, Result};

/// The version of CloudEvents.
pub(super) const SPEC_VERSION: &str = "1.0";

/// An attribute of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute<'a> {
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
    /// Any other: `subject`, `dataschema`, and extensions such as `traceparent`.
    Extension(&'a str),
}

impl<'a> Attribute<'a> {
    /// The attribute's name as CloudEvents writes it, without a prefix.
    pub fn name(self) -> &'a str {
        match self {
            Attribute::SpecVersion => "specversion",
            Attribute::Id => "id",
            Attribute::Type => "type",
            Attribute::Source => "source",
            Attribute::Time => "time",
            Attribute::SchemaVersion => "schemaversion",
            Attribute::Extension(name) => name,
        }
    }

    /// The attribute of that name that a message has a field for.
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
    pub fn attributes(&self, mut write: impl FnMut(Attribute<'_>, &str)) {
        let mut buffer = [0u8; 40];
        match &self.id {
            MessageId::Uuid(uuid) => write(Attribute::Id, uuid.as_hyphenated().encode_lower(&mut buffer)),
            MessageId::Text(text) => write(Attribute::Id, text),
        }
        if let Some(event_type) = &self.event_type {
            write(Attribute::SpecVersion, SPEC_VERSION);
            write(Attribute::Type, event_type);
        }
        if let Some(source) = self.written_source() {
            write(Attribute::Source, source);
        }
        if let Some(time) = self.time {
            write(Attribute::Time, format_time(time, &mut buffer));
        }
        if let Some(version) = self.schema_version {
            write(Attribute::SchemaVersion, format_into(version, &mut buffer));
        }
        self.extensions.iter().for_each(|(name, value)| write(Attribute::Extension(name), value));
    }

    /// Its source, which a complete CloudEvent always has.
    pub(super) fn written_source(&self) -> Option<&str> {
        let default = self.is_event().then_some(DEFAULT_SOURCE);
        self.source.as_deref().or(default)
    }
}

/// The longest name: with AMQP's prefix it still fits into a short string.
const MAX_EXTENSION: usize = 200;

/// Refuses what is no CloudEvents attribute, or has a field of its own.
pub(crate) fn check_extension(name: &str, value: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let reason = if Attribute::from_name(name).is_some() || name == "datacontenttype" {
        "is a field of the message"
    } else if name.is_empty() || name.len() > MAX_EXTENSION || !name.chars().all(legal) {
        "must be lower-case letters and digits"
    } else if value.chars().any(char::is_control) {
        "has a control character in its value"
    } else {
        return Ok(());
    };
    let text = format!("the attribute `{name:.50}` {reason}");
    Err(Error::new(Kind::InvalidConfiguration, "publish", text))
}

/// A time as attributes carry it: RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    format_time(time, &mut [0; 40]).to_owned()
}

fn format_time(time: SystemTime, buffer: &mut [u8; 40]) -> &str {
    format_into(humantime::format_rfc3339_millis(written_time(time)), buffer)
}

/// Before 1970 or after 9999 there is no RFC 3339 form that the formatter can write.
pub(super) fn written_time(time: SystemTime) -> SystemTime {
    let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    time.clamp(UNIX_EPOCH, last)
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
    let (local, offset) = split_offset(text);
    let time = humantime::parse_rfc3339_weak(local).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_millis() as i64 - offset)
}

/// A time and the milliseconds by which it is ahead of UTC: `…+02:00`.
fn split_offset(text: &str) -> (&str, i64) {
    let offset =
        text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)).and_then(|(local, offset)| {
            let (sign, (hours, minutes)) = (offset.get(..1)?, offset.get(1..)?.split_once(':')?);
            let minutes = hours.parse::<u8>().ok()? as i64 * 60 + minutes.parse::<u8>().ok()? as i64;
            match sign {
                "+" => Some((local, minutes * 60_000)),
                "-" => Some((local, -minutes * 60_000)),
                _ => None,
            }
        });
    offset.unwrap_or((text, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(message: &Message) -> Vec<(String, String)> {
        let mut all = Vec::new();
        message.attributes(|a, v| all.push((a.name().to_owned(), v.to_owned())));
        all
    }

    #[test]
    fn plain_messages_carry_only_their_id() {
        assert_eq!(written(&Message::new("x").with_id("a")), [("id".into(), "a".into())]);
    }

    #[test]
    fn typed_messages_are_complete_cloud_events() {
        let mut message = Message::new("x").with_id("a").with_type("t");
        message.time = Some(UNIX_EPOCH + Duration::from_millis(1_500));
        message.schema_version = Some(3);
        let message = message.with_extension("subject", "order-7");
        let expected = [
            ("id", "a"),
            ("specversion", "1.0"),
            ("type", "t"),
            ("source", "/anybroker"),
            ("time", "1970-01-01T00:00:01.500Z"),
            ("schemaversion", "3"),
            ("subject", "order-7"),
        ];
        assert_eq!(written(&message), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(parse_time("1970-01-01T00:00:01.500Z"), Some(1_500));
    }
    #[test]
    fn times_of_other_programs_are_read() {
        for (text, millis) in [
            ("1970-01-01T00:00:01Z", Some(1_000)),
            ("1970-01-01T00:00:01.234567Z", Some(1_234)),
            ("1970-01-01T02:00:01.5+02:00", Some(1_500)),
            ("1970-01-01T00:00:00-00:30", Some(1_800_000)),
            ("1970-01-01 00:00:01", Some(1_000)),
            ("1970-01-01", None),
            ("yesterday", None),
            ("☃☃☃", None),
        ] {
            assert_eq!(parse_time(text), millis, "{text}");
        }
    }

    #[test]
    fn what_is_no_attribute_is_refused_with_the_rule() {
        for (name, value, rule) in [
            ("time", "now", "field of the message"),
            ("datacontenttype", "text/plain", "field of the message"),
            ("Subject", "x", "lower-case"),
            ("trace-parent", "x", "lower-case"),
            ("", "x", "lower-case"),
            ("subject", "a\nb", "control"),
        ] {
            let error = Message::new("x").with_extension(name, value).validate().unwrap_err();
            assert!(error.to_string().contains(rule), "{error}");
        }
        Message::new("x").with_extension("subject", "").validate().unwrap();
    }
}
