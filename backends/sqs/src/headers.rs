//! Headers as message attributes, of which SQS carries ten in all, by distinct names, without an order and without
//! empty values.
//!
//! A header that can be is an attribute of its own, text or binary. Where that does not say everything, the attribute
//! `anybroker-headers` lists all headers in order, as JSON: a name refers to the attribute of that name, `[name, text]` and
//! `[name, null, Base64]` hold the value themselves.

use anybroker_core::{Error, Headers, Kind, RecordWriter, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::record::{Attributes, CONTENT_TYPE, OURS, PREFIX, binary, bytes, is_carried, text};

const LIST: &str = "anybroker-headers";
/// The most attributes of a message.
const MOST: usize = 10;

/// Whether a header can be an attribute:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>.
fn can_be_attribute(name: &str, value: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    let reserved = ["aws.", "amazon."].iter().any(|prefix| lower.starts_with(prefix));
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    legal && !reserved && !dots && users(name) && !value.is_empty()
}

/// Whether an attribute of this name is a header of the application.
fn users(name: &str) -> bool {
    name != CONTENT_TYPE && !name.starts_with(OURS) && !name.starts_with(PREFIX)
}

pub(crate) fn put(headers: &Headers, attributes: &mut Attributes) -> Result<()> {
    let alone = |name: &str| headers.iter().filter(|(other, _)| *other == name).count() == 1;
    let apart: Vec<bool> =
        headers.iter().map(|(name, value)| can_be_attribute(name, value) && alone(name)).collect();
    let room = MOST.saturating_sub(attributes.len());
    let listed =
        apart.contains(&false) || headers.len() > room || !headers.iter().is_sorted_by_key(|(n, _)| n);
    let mut left = if listed { room.saturating_sub(1) } else { room };
    let mut list = Vec::new();
    for ((name, value), apart) in headers.iter().zip(apart) {
        if apart && left > 0 {
            left -= 1;
            let as_text = std::str::from_utf8(value).ok().filter(|text| is_carried(text));
            attributes.insert(name.to_owned(), as_text.map_or_else(|| binary(value), text)?);
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
    let mut apart: Vec<_> = attributes.iter().filter(|(name, _)| users(name)).collect();
    apart.sort_unstable_by_key(|(name, _)| *name);
    for header in list.iter().flatten() {
        match header {
            Value::String(name) => {
                if let Some(at) = apart.iter().position(|(other, _)| *other == name) {
                    writer.header(name, bytes(apart.remove(at).1));
                }
            }
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(name), Value::String(text)] => writer.header(name, text.as_bytes()),
                [Value::String(name), Value::Null, Value::String(encoded)] => {
                    if let Ok(value) = STANDARD.decode(encoded) {
                        writer.header(name, &value);
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
    // All of them, where there is no list; otherwise what somebody on the way has added.
    apart.into_iter().for_each(|(name, value)| writer.header(name, bytes(value)));
}
