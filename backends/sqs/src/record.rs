//! Messages on the wire.
//!
//! The payload is the body: as it is where it is text that SQS takes, otherwise in Base64, and the attribute
//! `anybroker-encoding` says so. CloudEvents attributes are message attributes `ce_<name>`, the media type is
//! `content-type`. Extensions and headers are in the module `headers`.

use std::collections::HashMap;

use anybroker_core::{Attribute, Error, Kind, Message, Record, RecordBuffer, Result};
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    Message as Received, MessageAttributeValue, MessageSystemAttributeName as System,
    SendMessageBatchRequestEntry,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::headers;
use crate::ids;

pub(crate) const PREFIX: &str = "ce_";
const ID: &str = "ce_id";
pub(crate) const CONTENT_TYPE: &str = "content-type";
/// What begins so is ours.
pub(crate) const OURS: &str = "anybroker-";
const ENCODING: &str = "anybroker-encoding";
const BASE64: &str = "base64";
/// SQS takes no empty body: it is one character then.
const EMPTY: &str = "empty";
const KEY: &str = "anybroker-key";

pub(crate) type Attributes = HashMap<String, MessageAttributeValue>;

/// Whether SQS carries the text: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>.
pub(crate) fn is_carried(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..))
}

pub(crate) fn build(attribute: Result<MessageAttributeValue, BuildError>) -> Result<MessageAttributeValue> {
    attribute
        .map_err(|e| Error::new(Kind::Unexpected, "publish", "an attribute cannot be built").with_source(e))
}

pub(crate) fn text(value: &str) -> Result<MessageAttributeValue> {
    build(MessageAttributeValue::builder().data_type("String").string_value(value).build())
}

pub(crate) fn binary(value: &[u8]) -> Result<MessageAttributeValue> {
    build(MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new(value)).build())
}

/// A message as SQS takes it, and how many bytes that are as SQS counts them.
pub(crate) fn entry(
    message: &Message,
    group: &str,
    index: usize,
) -> Result<(SendMessageBatchRequestEntry, usize)> {
    let mut attributes = Attributes::new();
    let body = body(&message.payload, &mut attributes)?;
    event(message, &mut attributes)?;
    if let Some(key) = message.key.as_ref().filter(|key| ids::hides(key, group)) {
        attributes.insert(KEY.to_owned(), binary(key.as_bytes())?);
    }
    headers::put(message, &mut attributes)?;
    let bytes = body.len() + attributes.iter().map(|(name, value)| name.len() + size(value)).sum::<usize>();
    let entry = SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_body(body)
        .set_message_attributes((!attributes.is_empty()).then_some(attributes))
        .message_group_id(group)
        .message_deduplication_id(ids::deduplication(message))
        .build();
    let entry = entry
        .map_err(|e| Error::new(Kind::Unexpected, "publish", "an entry cannot be built").with_source(e))?;
    Ok((entry, bytes))
}

fn body(payload: &[u8], attributes: &mut Attributes) -> Result<String> {
    let (encoding, body) = match std::str::from_utf8(payload) {
        Ok("") => (EMPTY, "-".to_owned()),
        Ok(text) if is_carried(text) => return Ok(text.to_owned()),
        _ => (BASE64, STANDARD.encode(payload)),
    };
    attributes.insert(ENCODING.to_owned(), text(encoding)?);
    Ok(body)
}

/// CloudEvents attributes that every message may have, and the media type.
fn event(message: &Message, attributes: &mut Attributes) -> Result<()> {
    let mut failed = None;
    let mut put = |name: String, value: &str| {
        let carried = if is_carried(value) { text(value) } else { Err(not_carried(&name)) };
        match carried {
            Ok(value) => _ = attributes.insert(name, value),
            Err(error) => failed = Some(error),
        }
    };
    message.attributes(|attribute, value| {
        // Extensions go as headers do.
        if !matches!(attribute, Attribute::Extension(_)) {
            put(format!("{PREFIX}{}", attribute.name()), value);
        }
    });
    if let Some(content_type) = &message.content_type {
        put(CONTENT_TYPE.to_owned(), content_type);
    }
    failed.map_or(Ok(()), Err)
}

fn not_carried(name: &str) -> Error {
    let text = format!("the attribute {name} has a character that SQS does not carry (U+FFFE or U+FFFF)");
    Error::new(Kind::InvalidConfiguration, "publish", text).advice("leave the character out")
}

fn size(value: &MessageAttributeValue) -> usize {
    let text = value.string_value().map_or(0, str::len);
    value.data_type().len() + text + value.binary_value().map_or(0, |blob| blob.as_ref().len())
}

/// A value as bytes: those of texts and numbers are what is written.
pub(crate) fn bytes(value: &MessageAttributeValue) -> &[u8] {
    match (value.binary_value(), value.string_value()) {
        (Some(blob), _) => blob.as_ref(),
        (None, Some(text)) => text.as_bytes(),
        (None, None) => b"",
    }
}

/// Something that SQS says of a received message.
pub(crate) fn system<'a>(received: &'a Received, name: &System) -> Option<&'a str> {
    received.attributes()?.get(name).map(String::as_str)
}

/// Reads a received message.
pub(crate) fn record(buffer: &mut RecordBuffer, received: &Received) -> Record {
    let none = Attributes::new();
    let attributes = received.message_attributes().unwrap_or(&none);
    let mut writer = buffer.record();
    let group = system(received, &System::MessageGroupId).unwrap_or_default();
    match attributes.get(KEY) {
        Some(key) => writer.key(bytes(key)),
        None => _ = ids::key_of(group).filter(|_| !group.is_empty()).map(|key| writer.key(&key)),
    }
    if !attributes.contains_key(ID) {
        // Another program's message: SQS gave it an id.
        writer.attribute(Attribute::Id.name(), received.message_id().unwrap_or_default().as_bytes());
    }
    if let Some(content_type) = attributes.get(CONTENT_TYPE) {
        writer.content_type(bytes(content_type));
    }
    headers::read(attributes, &mut writer);
    let body = received.body().unwrap_or_default();
    match attributes.get(ENCODING).and_then(MessageAttributeValue::string_value) {
        Some(EMPTY) => writer.finish(bytes::Bytes::new()),
        Some(BASE64) => match STANDARD.decode(body) {
            Ok(payload) => writer.finish(payload.into()),
            Err(_) => writer.finish_copying(body.as_bytes()),
        },
        _ => writer.finish_copying(body.as_bytes()),
    }
}

#[cfg(test)]
mod tests;
