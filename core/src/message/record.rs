//! What is received: the broker's record, decoded only as far as somebody asks.

use std::ops::Range;
use std::str;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::attributes::{SPEC_VERSION, parse_time, written_time};
use super::{Attribute, Headers, Key, Message, MessageId};

/// A received message: the payload, and everything else packed into one shared buffer that is scanned on access.
///
/// Two words of reference counting and no allocation of its own: see [`RecordBuffer`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Record {
    meta: Bytes,
    payload: Bytes,
}

/// Of an entry of the buffer: its tag, and the length of its body.
const ENTRY_HEAD: usize = 5;

#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
enum Tag {
    Key = 1,
    IdUuid,
    IdText,
    Type,
    Source,
    ContentType,
    SchemaVersion,
    Time,
    SpecVersion,
    Header,
    Extension,
}

impl Record {
    /// The payload, byte for byte.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The ordering key's bytes.
    pub fn key(&self) -> Option<&[u8]> {
        self.find(Tag::Key)
    }

    /// The ordering key, shared with the record.
    pub fn to_key(&self) -> Option<Key> {
        self.range(Tag::Key).map(|range| self.meta.slice(range).into())
    }

    /// The id; none if a foreign producer set none.
    pub fn id(&self) -> Option<MessageId> {
        if let Some(bytes) = self.find(Tag::IdUuid) {
            return uuid::Uuid::from_slice(bytes).ok().map(MessageId::Uuid);
        }
        self.text(Tag::IdText).map(MessageId::from)
    }

    /// CloudEvents' `type`.
    pub fn event_type(&self) -> Option<&str> {
        self.text(Tag::Type)
    }

    /// CloudEvents' `source`.
    pub fn source(&self) -> Option<&str> {
        self.text(Tag::Source)
    }

    /// The media type of the payload.
    pub fn content_type(&self) -> Option<&str> {
        self.text(Tag::ContentType)
    }

    /// The version of the payload's schema.
    pub fn schema_version(&self) -> Option<u32> {
        Some(u32::from_le_bytes(self.find(Tag::SchemaVersion)?.try_into().ok()?))
    }

    /// The time on the message.
    pub fn time(&self) -> Option<SystemTime> {
        let millis = i64::from_le_bytes(self.find(Tag::Time)?.try_into().ok()?);
        Some(UNIX_EPOCH + Duration::from_millis(millis.max(0) as u64))
    }

    /// All user headers in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries()
            .filter(|e| e.0 == Tag::Header as u8)
            .filter_map(|(_, range)| split_pair(&self.meta[range]))
    }

    /// The first value of the header `name`.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// CloudEvents attributes that the contract has no field for: `subject`, `traceparent`; and those that do not read as
    /// they should.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let extensions = self.entries().filter(|e| e.0 == Tag::Extension as u8);
        extensions.filter_map(|(_, range)| split_pair(&self.meta[range]))
    }

    /// The same record with another payload.
    pub fn with_payload(mut self, payload: Bytes) -> Self {
        self.payload = payload;
        self
    }

    /// The same record with another version of its schema, for what stands between the broker and a reader and translates.
    pub fn with_schema_version(mut self, version: u32) -> Self {
        let written = self.range(Tag::SchemaVersion);
        let mut meta = BytesMut::with_capacity(self.meta.len() + ENTRY_HEAD + size_of::<u32>());
        meta.put_slice(&self.meta);
        match written.and_then(|range| meta.get_mut(range)) {
            Some(bytes) if bytes.len() == size_of::<u32>() => bytes.copy_from_slice(&version.to_le_bytes()),
            _ => {
                meta.put_u8(Tag::SchemaVersion as u8);
                meta.put_u32_le(size_of::<u32>() as u32);
                meta.put_slice(&version.to_le_bytes());
            }
        }
        self.meta = meta.freeze();
        self
    }

    /// The same record with another type; as [`with_schema_version`](Self::with_schema_version).
    pub fn with_type(mut self, event_type: &str) -> Self {
        let mut meta = BytesMut::with_capacity(self.meta.len() + ENTRY_HEAD + event_type.len());
        let kept = self.entries().filter(|(tag, _)| *tag != Tag::Type as u8);
        let kept = kept.map(|(tag, range)| (tag, &self.meta[range]));
        for (tag, body) in kept.chain([(Tag::Type as u8, event_type.as_bytes())]) {
            meta.put_u8(tag);
            meta.put_u32_le(body.len() as u32);
            meta.put_slice(body);
        }
        self.meta = meta.freeze();
        self
    }

    /// Bytes retained by this record.
    pub fn size(&self) -> usize {
        self.meta.len() + self.payload.len()
    }

    /// The message for publishing it again elsewhere. A message without an id gets a new one; an
    /// [extension](Self::extensions) that is no text stays behind.
    pub fn to_message(&self) -> Message {
        let text = |text: Option<&str>| text.map(ByteString::from);
        let mut headers = Headers::new();
        self.headers().for_each(|(name, value)| headers.append(name, value));
        let texts = self.extensions().filter_map(|(name, value)| Some((name, str::from_utf8(value).ok()?)));
        let mut extensions: Vec<_> = texts.map(|(name, value)| (name.into(), value.into())).collect();
        extensions.sort_unstable();
        Message {
            id: self.id().unwrap_or_default(),
            key: self.to_key(),
            headers,
            payload: self.payload.clone(),
            event_type: text(self.event_type()),
            schema_version: self.schema_version(),
            source: text(self.source()),
            content_type: text(self.content_type()),
            time: self.time(),
            extensions,
        }
    }

    fn entries(&self) -> impl Iterator<Item = (u8, Range<usize>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let head = self.meta.get(at..at + ENTRY_HEAD)?;
            let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let body = at + ENTRY_HEAD..at + ENTRY_HEAD + length;
            at = body.end;
            Some((head[0], body))
        })
    }

    fn range(&self, tag: Tag) -> Option<Range<usize>> {
        self.entries().find(|(t, _)| *t == tag as u8).map(|(_, range)| range)
    }

    fn find(&self, tag: Tag) -> Option<&[u8]> {
        self.range(tag).map(|range| &self.meta[range])
    }

    fn text(&self, tag: Tag) -> Option<&str> {
        str::from_utf8(self.find(tag)?).ok()
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Record");
        debug.field("id", &self.id()).field("key", &self.to_key()).field("payload_len", &self.payload.len());
        debug.finish_non_exhaustive()
    }
}

fn split_pair(body: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (name, value) = rest.split_at_checked(u16::from_le_bytes(*length) as usize)?;
    Some((str::from_utf8(name).ok()?, value))
}

/// Where an adapter's fetch task builds records: one large allocation serves many of them.
#[derive(Debug, Default)]
pub struct RecordBuffer {
    chunk: BytesMut,
}

/// How much is allocated at once. A record that is kept for long keeps its chunk.
const CHUNK: usize = 64 * 1024;

impl RecordBuffer {
    /// An empty buffer; allocates on first use.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a record.
    ///
    /// ```
    /// use anybroker_core::RecordBuffer;
    /// let mut buffer = RecordBuffer::new();
    /// let mut writer = buffer.record();
    /// writer.key(b"k");
    /// writer.attribute("id", b"m-1");
    /// writer.header("tenant", b"acme");
    /// let record = writer.finish_copying(b"payload");
    /// assert_eq!(record.key(), Some(&b"k"[..]));
    /// assert_eq!(record.id().unwrap().to_string(), "m-1");
    /// assert_eq!(record.header("tenant"), Some(&b"acme"[..]));
    /// ```
    pub fn record(&mut self) -> RecordWriter<'_> {
        self.chunk.clear();
        RecordWriter { chunk: &mut self.chunk }
    }

    /// The record that `message` arrives as where nothing is translated (the in-memory broker).
    pub fn encode(&mut self, message: &Message) -> Record {
        let mut writer = self.record();
        if let Some(key) = &message.key {
            writer.key(key.as_bytes());
        }
        match &message.id {
            MessageId::Uuid(uuid) => writer.put(Tag::IdUuid, &[uuid.as_bytes()]),
            MessageId::Text(text) => writer.put(Tag::IdText, &[text.as_bytes()]),
        };
        writer.fields(message);
        if let Some(content_type) = &message.content_type {
            writer.content_type(content_type.as_bytes());
        }
        message.headers.iter().for_each(|(name, value)| writer.header(name, value));
        writer.finish(message.payload.clone())
    }
}

/// Writes one record; dropped without `finish`, it leaves nothing behind.
#[derive(Debug)]
pub struct RecordWriter<'a> {
    chunk: &'a mut BytesMut,
}

impl RecordWriter<'_> {
    /// The ordering key.
    pub fn key(&mut self, key: &[u8]) {
        self.put(Tag::Key, &[key]);
    }

    /// The media type of the payload.
    pub fn content_type(&mut self, value: &[u8]) {
        self.put(Tag::ContentType, &[value]);
    }

    /// A user header.
    pub fn header(&mut self, name: &str, value: &[u8]) {
        self.pair(Tag::Header, name, value);
    }

    /// A CloudEvents attribute by its bare name; what the contract has no field for is kept as an extension.
    /// A value that does not read as the attribute demands is kept as an extension too, not lost.
    pub fn attribute(&mut self, name: &str, value: &[u8]) {
        let text = str::from_utf8(value).ok();
        let taken = match (Attribute::from_name(name), text) {
            // Read as what it is when somebody asks for it.
            (Some(Attribute::Id), Some(_)) => self.put(Tag::IdText, &[value]),
            (Some(Attribute::Type), Some(_)) => self.put(Tag::Type, &[value]),
            (Some(Attribute::Source), Some(_)) => self.put(Tag::Source, &[value]),
            (Some(Attribute::SpecVersion), _) => self.put(Tag::SpecVersion, &[value]),
            (Some(Attribute::Time), Some(text)) => match parse_time(text) {
                Some(millis) => self.put(Tag::Time, &[&millis.to_le_bytes()]),
                None => false,
            },
            (Some(Attribute::SchemaVersion), Some(text)) => match text.parse::<u32>() {
                Ok(version) => self.put(Tag::SchemaVersion, &[&version.to_le_bytes()]),
                Err(_) => false,
            },
            _ => false,
        };
        if !taken {
            self.pair(Tag::Extension, name, value);
        }
    }

    /// What [`Message::attributes`] gives, but for the id, without a detour through texts.
    fn fields(&mut self, message: &Message) {
        if let Some(event_type) = &message.event_type {
            self.put(Tag::SpecVersion, &[SPEC_VERSION.as_bytes()]);
            self.put(Tag::Type, &[event_type.as_bytes()]);
        }
        if let Some(source) = message.written_source() {
            self.put(Tag::Source, &[source.as_bytes()]);
        }
        if let Some(time) = message.time {
            let since_1970 = written_time(time).duration_since(UNIX_EPOCH).unwrap_or_default();
            self.put(Tag::Time, &[&(since_1970.as_millis() as i64).to_le_bytes()]);
        }
        if let Some(version) = message.schema_version {
            self.put(Tag::SchemaVersion, &[&version.to_le_bytes()]);
        }
        message.extensions.iter().for_each(|(name, value)| self.attribute(name, value.as_bytes()));
    }

    /// Ends the record with a payload that is already shared.
    pub fn finish(self, payload: Bytes) -> Record {
        Record { meta: self.chunk.split().freeze(), payload }
    }

    /// Ends the record with a copy of `payload`, made in the same chunk.
    pub fn finish_copying(self, payload: &[u8]) -> Record {
        let meta = self.chunk.split().freeze();
        if payload.len() > CHUNK / 4 {
            return Record { meta, payload: Bytes::copy_from_slice(payload) };
        }
        make_room(self.chunk, payload.len());
        self.chunk.put_slice(payload);
        Record { meta, payload: self.chunk.split().freeze() }
    }

    fn pair(&mut self, tag: Tag, name: &str, value: &[u8]) {
        let length = (name.len().min(u16::MAX as usize) as u16).to_le_bytes();
        self.put(tag, &[&length, name.as_bytes(), value]);
    }

    fn put(&mut self, tag: Tag, parts: &[&[u8]]) -> bool {
        let length: usize = parts.iter().map(|p| p.len()).sum();
        make_room(self.chunk, length + ENTRY_HEAD);
        let [a, b, c, d] = (length as u32).to_le_bytes();
        self.chunk.put_slice(&[tag as u8, a, b, c, d]);
        parts.iter().for_each(|part| self.chunk.put_slice(part));
        true
    }
}

fn make_room(chunk: &mut BytesMut, bytes: usize) {
    if chunk.capacity() - chunk.len() < bytes {
        chunk.reserve(bytes.max(CHUNK));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_it_was_published() {
        let mut message =
            Message::new(&b"\x00\xffbinary"[..]).with_key(&b"\xfe"[..]).with_type("order.placed");
        message.headers.append("überschrift", "☃");
        message.headers.append("twice", "1");
        message.headers.append("twice", &b"\x00\xff"[..]);
        message.schema_version = Some(2);
        message.source = Some("/shop".into());
        message.content_type = Some("application/json".into());
        message.time = Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
        let message = message.with_extension("sampled", "").with_extension("subject", "order ☃");
        let mut buffer = RecordBuffer::new();
        for _ in 0..3 {
            assert_eq!(buffer.encode(&message).to_message(), message);
        }
    }

    #[test]
    fn attributes_that_do_not_parse_are_kept() {
        let mut buffer = RecordBuffer::new();
        let mut writer = buffer.record();
        writer.attribute("time", b"yesterday");
        writer.attribute("partitionkey", b"k");
        let record = writer.finish_copying(b"");
        assert_eq!(record.time(), None);
        let kept: Vec<_> = record.extensions().collect();
        assert_eq!(kept, [("time", &b"yesterday"[..]), ("partitionkey", b"k")]);
    }

    #[test]
    fn the_version_of_the_schema_can_be_replaced() {
        let mut buffer = RecordBuffer::new();
        let mut message = Message::new("x").with_key("k").with_type("t").with_header("h", "v");
        message.source = Some("/shop".into());
        for version in [None, Some(1), Some(u32::MAX)] {
            message.schema_version = version;
            let record = buffer.encode(&message).with_schema_version(7);
            let expected = Message { schema_version: Some(7), ..message.clone() };
            assert_eq!(record.to_message(), expected);
        }
    }

    #[test]
    fn the_type_can_be_replaced() {
        let mut buffer = RecordBuffer::new();
        let mut message = Message::new("x").with_key("k").with_header("h", "v");
        (message.schema_version, message.source) = (Some(3), Some("/shop".into()));
        for event_type in [None, Some("t"), Some("order.placed")] {
            message.event_type = event_type.map(ByteString::from);
            let record = buffer.encode(&message).with_type("order.paid");
            let expected = Message { event_type: Some("order.paid".into()), ..message.clone() };
            assert_eq!(record.to_message(), expected);
        }
    }

    #[test]
    fn large_payloads_get_their_own_allocation() {
        let mut buffer = RecordBuffer::new();
        let payload = vec![7u8; CHUNK];
        assert_eq!(buffer.record().finish_copying(&payload).payload(), &payload[..]);
    }
}
