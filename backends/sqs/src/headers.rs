//! Headers and CloudEvents extensions as message attributes, of which SQS carries ten in all, by distinct names, without
//! an order and without empty values.
//!
//! One that can be is an attribute of its own, text or binary. Where that does not say everything, the attribute
//! `anybroker-headers` lists them all in order, as JSON: a name refers to the attribute of that name, `[name, text]` and
//! `[name, null, Base64]` hold the value themselves.

use std::borrow::Cow;

use anybroker_core::{Error, Kind, Message, RecordWriter, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::record::{Attributes, CONTENT_TYPE, OURS, PREFIX, binary, bytes, is_carried, text};

const LIST: &str = "anybroker-headers";
/// The most attributes of a message.
const MOST: usize = 10;

/// Whether it can be an attribute:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>.
fn can_be_attribute(name: &str, value: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    let reserved = ["aws.", "amazon."].iter().any(|prefix| lower.starts_with(prefix));
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    legal && !reserved && !dots && is_free(name) && !value.is_empty()
}

/// Whether an attribute of this name is a header or belongs to CloudEvents.
fn is_free(name: &str) -> bool {
    name != CONTENT_TYPE && !name.starts_with(OURS)
}

pub(crate) fn put(message: &Message, attributes: &mut Attributes) -> Result<()> {
    let extensions = message.extensions.iter();
    let extensions =
        extensions.map(|(name, value)| (Cow::Owned(format!("{PREFIX}{name}")), value.as_bytes().as_ref()));
    let headers = message.headers.iter().map(|(name, value)| (Cow::Borrowed(name), value.as_ref()));
    let all: Vec<(Cow<'_, str>, &[u8])> = extensions.chain(headers).collect();
    let alone = |name: &str| all.iter().filter(|(other, _)| *other == name).count() == 1;
    let apart: Vec<bool> =
        all.iter().map(|(name, value)| can_be_attribute(name, value) && alone(name)).collect();
    let room = MOST.saturating_sub(attributes.len());
    // Extensions have no order.
    let sorted = message.headers.iter().is_sorted_by_key(|(name, _)| name);
    let listed = apart.contains(&false) || all.len() > room || !sorted;
    let mut left = if listed { room.saturating_sub(1) } else { room };
    let mut list = Vec::new();
    for ((name, value), apart) in all.iter().zip(apart) {
        if apart && left > 0 {
            left -= 1;
            let as_text = std::str::from_utf8(value).ok().filter(|text| is_carried(text));
            attributes.insert(name.to_string(), as_text.map_or_else(|| binary(value), text)?);
            list.push(json!(name));
        } else {
            list.push(match std::str::from_utf8(value) {
                Ok(text) => json!([name, text]),
                Err(_) => json!([name, null, STANDARD.encode(value)]),
            });
        }
    }
    if listed {
        if room == 0 {
            return Err(Error::new(Kind::TooLarge, "publish", "SQS has no attribute left for the headers"));
        }
        // JSON may hold any character as an escape, SQS not as it is.
        let json =
            Value::from(list).to_string().replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff");
        attributes.insert(LIST.to_owned(), text(&json)?);
    }
    Ok(())
}

pub(crate) fn read(attributes: &Attributes, writer: &mut RecordWriter<'_>) {
    let list = attributes.get(LIST).and_then(|list| serde_json::from_slice::<Vec<Value>>(bytes(list)).ok());
    let mut apart: Vec<_> = attributes.iter().filter(|(name, _)| is_free(name)).collect();
    apart.sort_unstable_by_key(|(name, _)| *name);
    let mut write = |name: &str, value: &[u8]| match name.strip_prefix(PREFIX) {
        Some(attribute) => writer.attribute(attribute, value),
        None => writer.header(name, value),
    };
    for entry in list.iter().flatten() {
        match entry {
            Value::String(name) => {
                if let Some(at) = apart.iter().position(|(other, _)| *other == name) {
                    write(name, bytes(apart.remove(at).1));
                }
            }
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(name), Value::String(text)] => write(name, text.as_bytes()),
                [Value::String(name), Value::Null, Value::String(encoded)] => {
                    if let Ok(value) = STANDARD.decode(encoded) {
                        write(name, &value);
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
    // All of them, where there is no list; otherwise CloudEvents' own, and what somebody on the way has added.
    apart.into_iter().for_each(|(name, value)| write(name, bytes(value)));
}
