//! An event as a line of JSON.

use std::collections::BTreeMap;

use anybroker_core::Bytes;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::event::{Metadata, NewEvent, Recorded, from_micros, to_micros};

/// A line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Line {
    Event(Box<EventLine>),
    Archived { stream: String, archived_at: i64 },
}

/// Times are microseconds since 1970. The data stands as text, byte for byte, or in Base64 if it is no text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventLine {
    pub(crate) stream: String,
    pub(crate) version: u64,
    #[serde(rename = "type")]
    event_type: String,
    schema_version: u32,
    id: String,
    occurred_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

impl From<Recorded> for Line {
    fn from(event: Recorded) -> Self {
        let (data, data_base64) = match std::str::from_utf8(&event.data) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (None, Some(BASE64_STANDARD.encode(&event.data))),
        };
        let Metadata { id, time, correlation, causation, actor, headers } = event.metadata;
        Line::Event(Box::new(EventLine {
            stream: event.stream,
            version: event.version,
            event_type: event.event_type,
            schema_version: event.schema_version,
            id: id.to_string(),
            occurred_at: to_micros(time),
            correlation,
            causation,
            actor,
            headers,
            data,
            data_base64,
        }))
    }
}

impl EventLine {
    /// The stream, the version in it, and the event.
    pub(crate) fn into_event(self) -> Result<(String, u64, NewEvent), String> {
        let data = match (self.data, self.data_base64) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(text)) => BASE64_STANDARD
                .decode(text)
                .map_err(|error| format!("`data_base64` is no Base64: {error}"))?
                .into(),
            _ => return Err("there must be one of `data` and `data_base64`".into()),
        };
        let metadata = Metadata {
            id: self.id.parse().map_err(|error| format!("`id` is no UUID: {error}"))?,
            time: from_micros(self.occurred_at),
            correlation: self.correlation,
            causation: self.causation,
            actor: self.actor,
            headers: self.headers,
        };
        let event =
            NewEvent { event_type: self.event_type, schema_version: self.schema_version, data, metadata };
        Ok((self.stream, self.version, event))
    }
}
