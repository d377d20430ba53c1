//! Lines of the form `{"id","key","headers":{},"type","payload"}`: also what `sub --format json` prints.

use std::fmt;

use anybroker::{Bytes, Headers, Key, Message};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::fields;
use super::template::without_line;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    id: Option<Value>,
    key: Option<Value>,
    key_base64: Option<String>,
    #[serde(default)]
    headers: HeaderList,
    #[serde(rename = "type")]
    event_type: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    payload_base64: Option<String>,
    time: Option<String>,
    // What `sub` prints and a new message has not.
    #[serde(rename = "topic")]
    _topic: Option<IgnoredAny>,
    #[serde(rename = "position")]
    _position: Option<IgnoredAny>,
    #[serde(rename = "attempt")]
    _attempt: Option<IgnoredAny>,
    #[serde(rename = "redelivered")]
    _redelivered: Option<IgnoredAny>,
}

/// Tells a payload of `null` from none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// The message of an envelope.
pub(super) fn message(line: &[u8]) -> Result<Message, String> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(line).map_err(|e| format!("it is no envelope: {}", without_line(&e)))?;
    let json_payload = envelope.payload.is_some_and(|raw| !raw.get().starts_with('"'));
    let mut message = Message::new(payload(envelope.payload, envelope.payload_base64.as_deref())?);
    if let Some(id) = envelope.id {
        message.id = fields::text(&id).ok_or("its id is neither a string nor a whole number")?.into();
    }
    message.key = key(envelope.key, envelope.key_base64.as_deref())?;
    message.headers = envelope.headers.0;
    message.event_type = envelope.event_type.map(Into::into);
    message.content_type = json_payload.then(|| "application/json".into());
    if let Some(time) = &envelope.time {
        let read = humantime::parse_rfc3339_weak(time);
        message.time = Some(read.map_err(|_| "its time is no RFC 3339 time such as 2026-01-31T12:00:00Z")?);
    }
    Ok(message)
}

fn payload(raw: Option<&RawValue>, base64: Option<&str>) -> Result<Bytes, String> {
    match (raw.map(RawValue::get), base64) {
        (Some(text), None) if text.starts_with('"') => serde_json::from_str::<String>(text)
            .map(Bytes::from)
            .map_err(|e| format!("its payload is no text: {}", without_line(&e))),
        (Some(json), None) => Ok(compact(json).into()),
        (None, Some(base64)) => decode("payload_base64", base64).map(Bytes::from),
        (None, None) => Err("it has neither `payload` nor `payload_base64`".to_owned()),
        (Some(_), Some(_)) => Err("it has both `payload` and `payload_base64`".to_owned()),
    }
}

fn key(key: Option<Value>, base64: Option<&str>) -> Result<Option<Key>, String> {
    match (key, base64) {
        (Some(key), None) => {
            let text = fields::text(&key).ok_or("its key is neither a string nor a whole number")?;
            Ok(Some(text.into()))
        }
        (None, Some(base64)) => decode("key_base64", base64).map(|bytes| Some(bytes.into())),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err("it has both `key` and `key_base64`".to_owned()),
    }
}

fn decode(what: &str, text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|e| format!("its {what} is not base64: {e}"))
}

/// JSON without the white space between its tokens; numbers and the order of fields stay as they were written.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |c: &char| {
        let space = !in_string && c.is_ascii_whitespace();
        if !escaped && *c == '"' {
            in_string = !in_string;
        }
        escaped = in_string && !escaped && *c == '\\';
        !space
    };
    json.chars().filter(keep).collect()
}

/// Headers in the order in which they are written; a value is a string, `{"base64":…}`, or an array of those.
#[derive(Debug, Default)]
struct HeaderList(Headers);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a header's value is a string, {\"base64\":\"…\"} or an array of those")]
enum HeaderValue {
    Text(String),
    Binary(Binary),
    Many(Vec<HeaderValue>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Binary {
    base64: String,
}

impl HeaderValue {
    fn append_to(self, headers: &mut Headers, name: &str) -> Result<(), String> {
        match self {
            HeaderValue::Text(text) => headers.append(name, text),
            HeaderValue::Binary(binary) => headers.append(name, decode("header", &binary.base64)?),
            HeaderValue::Many(all) => all.into_iter().try_for_each(|one| one.append_to(headers, name))?,
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for HeaderList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = HeaderList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers as an object")
            }

            fn visit_unit<E>(self) -> Result<HeaderList, E> {
                Ok(HeaderList::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderList, A::Error> {
                let mut headers = Headers::new();
                while let Some((name, value)) = map.next_entry::<String, HeaderValue>()? {
                    value.append_to(&mut headers, &name).map_err(serde::de::Error::custom)?;
                }
                Ok(HeaderList(headers))
            }
        }
        deserializer.deserialize_any(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Message, String> {
        message(line.as_bytes())
    }

    #[test]
    fn every_field_arrives() {
        let line = r#"{"id":"m-1","key":"k","headers":{"b":"2","a":["1","x"],"bin":{"base64":"/wA="}},"type":"t","payload":"☃"}"#;
        let message = read(line).unwrap();
        assert_eq!(message.id.to_string(), "m-1");
        assert_eq!(message.key, Some("k".into()));
        assert_eq!(message.event_type.as_deref(), Some("t"));
        assert_eq!(message.payload, "☃");
        assert_eq!(message.content_type, None);
        let headers: Vec<_> = message.headers.iter().map(|(n, v)| (n, &v[..])).collect();
        assert_eq!(headers, [("b", &b"2"[..]), ("a", b"1"), ("a", b"x"), ("bin", b"\xff\x00")]);
    }

    #[test]
    fn other_json_is_kept_compact_and_exact() {
        let message =
            read(r#"{"payload": {"z" : [1.10, 123456789012345678901234567890], "a" : " \" x" } }"#).unwrap();
        assert_eq!(message.payload, r#"{"z":[1.10,123456789012345678901234567890],"a":" \" x"}"#);
        assert_eq!(message.content_type.as_deref(), Some("application/json"));
        assert_eq!(read(r#"{"payload":null}"#).unwrap().payload, "null");
        assert_eq!(read(r#"{"payload_base64":"/wA="}"#).unwrap().payload, &b"\xff\x00"[..]);
    }

    #[test]
    fn what_sub_prints_is_an_envelope() {
        let line = r#"{"id":null,"topic":"t","key_base64":"/w==","headers":{},"type":null,"payload":"x",
            "position":{"partition":0,"offset":1},"attempt":1,"redelivered":false,"time":"2026-01-31T12:00:00.5Z"}"#;
        let message = read(line).unwrap();
        assert_eq!(message.key, Some((&b"\xff"[..]).into()));
        assert!(message.time.is_some());
    }

    #[test]
    fn mistakes_are_named() {
        for (line, reason) in [
            (r#"{"id":"x"}"#, "neither `payload`"),
            (r#"{"payload":"a","payload_base64":""}"#, "both"),
            (r#"{"payload":"a","hedaers":{}}"#, "hedaers"),
            (r#"{"payload":"a","headers":{"a":1}}"#, "a header's value"),
            (r#"{"payload":"a","key":{}}"#, "key is neither"),
            (r#"{"payload":"a","time":"yesterday"}"#, "RFC 3339"),
            (r#"{"payload_base64":"?"}"#, "not base64"),
            ("[]", "no envelope"),
            ("nonsense", "no envelope"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
