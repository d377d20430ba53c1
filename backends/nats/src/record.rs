//! Messages on the wire, by the CloudEvents binding for NATS in binary mode: attributes are headers `ce-<name>`,
//! percent-encoded where they are not plain text; the payload is the payload. The key is the attribute `partitionkey`.
//! The id is `Nats-Msg-Id`, and of events the attribute too.
//!
//! NATS's headers are lines of text, without an order between names. The application's own go as they are where that
//! keeps them; else under `anybroker-header-<name>` with name and value percent-encoded. `anybroker-order` tells
//! the order of several names.

use std::borrow::Cow;
use std::str;

use anybroker_core::{Attribute, Headers, Message, Record, RecordBuffer, RecordWriter};
use async_nats::{HeaderMap, HeaderName};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

const PREFIX: &str = "ce-";
const ID: &str = "ce-id";
const KEY: &str = "ce-partitionkey";
const CONTENT_TYPE: &str = "ce-datacontenttype";
/// What other programs that know nothing of CloudEvents say.
const PLAIN_CONTENT_TYPE: &str = "Content-Type";
const ORDER: &str = "anybroker-order";
const ESCAPE: &str = "anybroker-header-";
/// The deduplication id: <https://docs.nats.io/nats-concepts/jetstream/headers>.
pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";
/// The stream that must take it.
pub(crate) const EXPECTED_STREAM: &str = "Nats-Expected-Stream";

/// What the binding has encoded: everything but printable ASCII, and space, quotation mark and per cent.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
/// In a header's name the colon too, which ends it.
const IN_NAMES: &AsciiSet = &ENCODED.add(b':');

fn encode(bytes: &[u8]) -> String {
    // Most values are plain, which is seen sooner than what is to be encoded is looked for.
    match str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(|byte| is_kept(*byte)) => text.to_owned(),
        _ => Cow::from(percent_encode(bytes, ENCODED)).into_owned(),
    }
}

/// Whether a byte is not one of [`ENCODED`].
fn is_kept(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%')
}

/// A name that is not copied for every message.
pub(crate) fn name(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

/// All headers of a message, and the id as it is deduplicated by.
pub(crate) fn headers(message: &Message) -> HeaderMap {
    let mut map = HeaderMap::new();
    if let Some(key) = &message.key {
        map.insert(name(KEY), encode(key.as_bytes()));
    }
    message.attributes(|attribute, value| {
        let value = encode(value.as_bytes());
        match attribute {
            Attribute::Id if message.is_event() => map.insert(name(MESSAGE_ID), value.clone()),
            Attribute::Id => return map.insert(name(MESSAGE_ID), value),
            // After the key, if it has the key's name.
            Attribute::Extension(name) => return map.append(format!("{PREFIX}{name}").as_str(), value),
            _ => {}
        }
        map.insert(name(name_of(attribute)), value);
    });
    if let Some(content_type) = &message.content_type {
        map.insert(name(CONTENT_TYPE), encode(content_type.as_bytes()));
    }
    put_headers(&mut map, &message.headers);
    map
}

fn name_of(attribute: Attribute<'_>) -> &'static str {
    match attribute {
        Attribute::SpecVersion => "ce-specversion",
        Attribute::Id => ID,
        Attribute::Type => "ce-type",
        Attribute::Source => "ce-source",
        Attribute::Time => "ce-time",
        Attribute::SchemaVersion => "ce-schemaversion",
        Attribute::Extension(_) => "",
    }
}

fn put_headers(map: &mut HeaderMap, headers: &Headers) {
    // Sorted and distinct: the index of a header's name here is what `ORDER` holds.
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        let values = || headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value);
        if is_plain_name(name) && values().all(|value| is_plain_value(value)) {
            values().for_each(|value| map.append(*name, String::from_utf8_lossy(value).as_ref()));
        } else {
            let escaped = format!("{ESCAPE}{}", percent_encode(name.as_bytes(), IN_NAMES));
            values().for_each(|value| map.append(escaped.as_str(), encode(value)));
        }
    }
    let order: Vec<usize> =
        headers.iter().map(|(name, _)| names.partition_point(|other| *other < name)).collect();
    if !order.is_sorted() {
        let order: Vec<String> = order.iter().map(usize::to_string).collect();
        map.insert(name(ORDER), order.join(","));
    }
}

fn is_plain_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') && !is_reserved(name)
}

/// Whether a header's name means something to the server, to CloudEvents or to us; in any case of letters.
fn is_reserved(name: &str) -> bool {
    let starts =
        |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts("nats-") || starts(PREFIX) || starts("anybroker-") || name.eq_ignore_ascii_case(PLAIN_CONTENT_TYPE)
}

/// Whether it comes back as it is: clients cut blanks off at both ends.
fn is_plain_value(value: &[u8]) -> bool {
    str::from_utf8(value).is_ok_and(|text| text.trim() == text && !text.chars().any(char::is_control))
}

/// Reads a message.
pub(crate) fn record(buffer: &mut RecordBuffer, message: async_nats::Message) -> Record {
    let mut writer = buffer.record();
    if let Some(map) = &message.headers {
        read(map, &mut writer);
    }
    writer.finish(message.payload)
}

fn read(map: &HeaderMap, writer: &mut RecordWriter<'_>) {
    let (mut ours, mut content_type) = (false, false);
    // By name, so that they come in the same order every time: the headers themselves have none.
    let mut attributes: Vec<_> =
        map.iter().filter_map(|(name, values)| Some((attribute(name.as_ref())?, values))).collect();
    attributes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    for (attribute, values) in attributes {
        for (at, value) in values.iter().enumerate() {
            let value = unquoted(value.as_str());
            let value = decode(&value);
            match &*attribute {
                "partitionkey" if at == 0 => writer.key(&value),
                "datacontenttype" => {
                    content_type = true;
                    writer.content_type(&value);
                }
                attribute => {
                    ours |= attribute == Attribute::Id.name();
                    writer.attribute(attribute, &value);
                }
            }
        }
    }
    if let (false, Some(id)) = (ours, map.get(MESSAGE_ID)) {
        writer.attribute(Attribute::Id.name(), &decode(id.as_str()));
    }
    if let (false, Some(given)) = (content_type, plain_content_type(map)) {
        writer.content_type(given.as_bytes());
    }
    read_headers(map, writer);
}

/// Names of headers have no case to NATS, but to its clients: other programs write this one in several.
fn plain_content_type(map: &HeaderMap) -> Option<&str> {
    let mut all = map.iter();
    let (_, values) =
        all.find(|(name, _)| AsRef::<str>::as_ref(name).eq_ignore_ascii_case(PLAIN_CONTENT_TYPE))?;
    values.first().map(|value| value.as_str())
}

/// The name of a CloudEvents attribute; other programs may write it in other cases of letters.
fn attribute(header: &str) -> Option<Cow<'_, str>> {
    let (prefix, name) = header.split_at_checked(PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let upper = name.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if upper { name.to_ascii_lowercase().into() } else { name.into() })
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    percent_decode_str(text).into()
}

/// Without the quotation marks that older versions of the binding allow.
fn unquoted(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.into();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next().unwrap_or('\\') } else { letter });
    }
    plain.into()
}

fn read_headers(map: &HeaderMap, writer: &mut RecordWriter<'_>) {
    let mut sorted: Vec<(String, Vec<Vec<u8>>)> = map
        .iter()
        .filter_map(|(name, values)| {
            let name: &str = name.as_ref();
            if let Some(escaped) = name.strip_prefix(ESCAPE) {
                let name = String::from_utf8(decode(escaped).into_owned()).ok()?;
                return Some((
                    name,
                    values.iter().map(|value| decode(value.as_str()).into_owned()).collect(),
                ));
            }
            let plain = |value: &async_nats::HeaderValue| value.as_str().as_bytes().to_vec();
            (!is_reserved(name)).then(|| (name.to_owned(), values.iter().map(plain).collect()))
        })
        .collect();
    sorted.sort_unstable();
    let order = if sorted.len() > 1 { map.get(name(ORDER)) } else { None };
    let order = order.map(|order| order.as_str().split(',').filter_map(|at| at.parse().ok()).collect());
    let order: Vec<usize> =
        order.filter(|order: &Vec<usize>| order.iter().all(|at| *at < sorted.len())).unwrap_or_default();
    let mut taken = vec![0; sorted.len()];
    for at in order {
        let (name, values) = &sorted[at];
        if let Some(value) = values.get(taken[at]) {
            writer.header(name, value);
        }
        taken[at] += 1;
    }
    for ((name, values), taken) in sorted.iter().zip(taken) {
        values.iter().skip(taken).for_each(|value| writer.header(name, value));
    }
}

#[cfg(test)]
mod tests;
