//! Short hashes by which a history tells payloads and metadata apart.

use std::hash::{DefaultHasher, Hash, Hasher};

use anybroker_core::{Message, Record};

fn hex(hasher: DefaultHasher) -> String {
    format!("{:016x}", hasher.finish())
}

pub(super) fn payload(payload: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hex(hasher)
}

/// Of id, key, ordered headers, type and content type.
pub(super) fn published(message: &Message) -> String {
    let headers = message.headers.iter().map(|(name, value)| (name, &value[..]));
    let key = message.key.as_ref().map(|key| key.as_bytes());
    meta(
        &message.id.to_string(),
        key,
        headers,
        message.event_type.as_deref(),
        message.content_type.as_deref(),
    )
}

/// As [`published`], of what came; the headers that dead lettering adds are left out.
pub(super) fn delivered(record: &Record, id: &str) -> String {
    let added = anybroker_core::dead_letter::HEADERS;
    let headers = record.headers().filter(|(name, _)| !added.contains(name));
    meta(id, record.key(), headers, record.event_type(), record.content_type())
}

fn meta<'a>(
    id: &str,
    key: Option<&[u8]>,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    event_type: Option<&str>,
    content_type: Option<&str>,
) -> String {
    let mut hasher = DefaultHasher::new();
    (id, key, event_type, content_type).hash(&mut hasher);
    headers.for_each(|header| header.hash(&mut hasher));
    hex(hasher)
}

pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect(),
    }
}
