//! A message's key, id, attributes and headers as the file keeps them (the column `meta`), version 1.
//!
//! The first byte is the version. Entries follow, each one byte of tag, four bytes of length (little endian) and that many
//! bytes:
//!
//! | tag | what | bytes |
//! |---|---|---|
//! | 1 | key | the key |
//! | 2 | content type | its text |
//! | 3 | CloudEvents attribute | one byte of name length, the name without prefix, the value as text |
//! | 4 | header | two bytes of name length (little endian), the name, the value |
//!
//! A reader skips tags that it does not know. The payload is a column of its own, byte for byte.

use anybroker_core::{Message, Record, RecordBuffer};

const VERSION: u8 = 1;
const KEY: u8 = 1;
const CONTENT_TYPE: u8 = 2;
const ATTRIBUTE: u8 = 3;
const HEADER: u8 = 4;

/// Appends the message without its payload to `buffer`.
pub(crate) fn encode(message: &Message, buffer: &mut Vec<u8>) {
    buffer.push(VERSION);
    if let Some(key) = &message.key {
        entry(buffer, KEY, &[key.as_bytes()]);
    }
    if let Some(content_type) = &message.content_type {
        entry(buffer, CONTENT_TYPE, &[content_type.as_bytes()]);
    }
    message.attributes(|attribute, value| {
        let name = attribute.name().as_bytes();
        entry(buffer, ATTRIBUTE, &[&[name.len() as u8], name, value.as_bytes()]);
    });
    for (name, value) in message.headers.iter() {
        // A valid header name is at most 255 bytes long.
        entry(buffer, HEADER, &[&(name.len() as u16).to_le_bytes(), name.as_bytes(), value]);
    }
}

fn entry(buffer: &mut Vec<u8>, tag: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    buffer.push(tag);
    buffer.extend_from_slice(&(length as u32).to_le_bytes());
    parts.iter().for_each(|part| buffer.extend_from_slice(part));
}

/// The record of what the file keeps; none if it does not read.
pub(crate) fn decode(buffer: &mut RecordBuffer, meta: &[u8], payload: &[u8]) -> Option<Record> {
    let (version, mut rest) = meta.split_first()?;
    if *version != VERSION {
        return None;
    }
    let mut writer = buffer.record();
    while let Some((head, body)) = rest.split_first_chunk::<5>() {
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (value, after) = body.split_at_checked(length)?;
        rest = after;
        match head[0] {
            KEY => writer.key(value),
            CONTENT_TYPE => writer.content_type(value),
            ATTRIBUTE => {
                let (length, value) = value.split_first()?;
                let (name, value) = value.split_at_checked(usize::from(*length))?;
                writer.attribute(std::str::from_utf8(name).ok()?, value);
            }
            HEADER => {
                let (length, value) = value.split_first_chunk::<2>()?;
                let (name, value) = value.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
                writer.header(std::str::from_utf8(name).ok()?, value);
            }
            _ => {}
        }
    }
    Some(writer.finish_copying(payload))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn full() -> Message {
        let mut message = Message::new(&b"\x00\xffbinary"[..]).with_key(&b"\xfe"[..]).with_id("m-1");
        message.headers.append("überschrift", "☃");
        message.headers.append("twice", "1");
        message.headers.append("twice", &b"\x00\xff"[..]);
        message.event_type = Some("order.placed".into());
        message.schema_version = Some(2);
        message.source = Some("/shop".into());
        message.content_type = Some("application/json".into());
        message.time = Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
        message
    }

    #[test]
    fn a_message_comes_back_as_it_was_published() {
        let mut buffer = RecordBuffer::new();
        for message in [full(), Message::new(""), Message::new("x").with_key("")] {
            let mut meta = Vec::new();
            encode(&message, &mut meta);
            assert_eq!(decode(&mut buffer, &meta, &message.payload).unwrap().to_message(), message);
        }
    }

    /// Files live on: what this version wrote must read for ever.
    #[test]
    fn the_format_is_as_it_was() {
        let mut meta = Vec::new();
        encode(&Message::new("").with_id("i").with_key("k").with_header("h", "v"), &mut meta);
        assert_eq!(meta, b"\x01\x01\x01\0\0\0k\x03\x04\0\0\0\x02idi\x04\x04\0\0\0\x01\0hv");
    }

    #[test]
    fn what_is_cut_short_or_newer_does_not_read_and_unknown_tags_are_skipped() {
        let mut meta = Vec::new();
        encode(&full(), &mut meta);
        let mut buffer = RecordBuffer::new();
        assert!(decode(&mut buffer, &meta[..meta.len() - 1], b"").is_none());
        assert!(decode(&mut buffer, b"", b"").is_none());
        let mut newer = meta.clone();
        newer[0] = 2;
        assert!(decode(&mut buffer, &newer, b"").is_none());
        meta.extend_from_slice(b"\x63\x01\0\0\0?");
        assert_eq!(decode(&mut buffer, &meta, &full().payload).unwrap().to_message(), full());
    }
}
