//! The messages of an entry. We publish one an entry; other clients put many into one.

use anybroker_core::{Bytes, Error, Kind, Record, RecordBuffer, Result};
use prost::Message as _;
use pulsar::Payload;
use pulsar::proto::{CompressionType, MessageMetadata, SingleMessageMetadata};

use crate::record::record;

/// How many messages the entry has: so many permits does it take.
pub(crate) fn count(metadata: &MessageMetadata) -> u32 {
    metadata.num_messages_in_batch.map_or(1, |count| count.max(1) as u32)
}

/// The entry's messages, in order.
///
/// # Errors
/// `Unsupported` for what other clients may do and this one does not undo: compression, encryption, chunks; `Decode`.
pub(crate) fn messages(
    buffer: &mut RecordBuffer,
    Payload { metadata, data }: Payload,
) -> Result<Vec<Record>> {
    refuse_unsupported(&metadata)?;
    let data = Bytes::from(data);
    if metadata.num_messages_in_batch.is_none() {
        return Ok(vec![record(buffer, (&metadata).into(), data)]);
    }
    let mut rest = data;
    (0..count(&metadata)).map(|_| one(buffer, &mut rest)).collect()
}

/// A message in a batch: its description's length, the description, the payload.
fn one(buffer: &mut RecordBuffer, rest: &mut Bytes) -> Result<Record> {
    let length = take(rest, 4)?;
    let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    let described = SingleMessageMetadata::decode(take(rest, length)?)
        .map_err(|error| unreadable().with_source(error))?;
    let payload = take(rest, described.payload_size.max(0) as usize)?;
    Ok(record(buffer, (&described).into(), payload))
}

fn take(rest: &mut Bytes, length: usize) -> Result<Bytes> {
    if rest.len() < length {
        return Err(unreadable());
    }
    Ok(rest.split_to(length))
}

fn unreadable() -> Error {
    Error::new(Kind::Decode, "receive", "a batch of messages does not read")
}

fn refuse_unsupported(metadata: &MessageMetadata) -> Result<()> {
    let what = if metadata.compression.is_some_and(|c| c != CompressionType::None as i32) {
        "compressed"
    } else if !metadata.encryption_keys.is_empty() {
        "encrypted by its producer"
    } else if metadata.num_chunks_from_msg.is_some_and(|chunks| chunks > 1) {
        "cut into chunks"
    } else {
        return Ok(());
    };
    let text = format!(
        "producer `{}` wrote a message that is {what}, which is not undone here",
        metadata.producer_name
    );
    Err(Error::new(Kind::Unsupported, "receive", text).advice("turn that off at the producer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Payload {
        let mut data = Vec::new();
        for (key, payload) in [("a", "one"), ("b", "two!")] {
            let described = SingleMessageMetadata {
                partition_key: Some(key.to_owned()),
                payload_size: payload.len() as i32,
                ..Default::default()
            };
            data.extend((described.encoded_len() as u32).to_be_bytes());
            data.extend(described.encode_to_vec());
            data.extend(payload.as_bytes());
        }
        let metadata = MessageMetadata { num_messages_in_batch: Some(2), ..Default::default() };
        Payload { metadata, data }
    }

    #[test]
    fn a_batch_is_its_messages() {
        let records = messages(&mut RecordBuffer::new(), batch()).unwrap();
        let read: Vec<_> = records.iter().map(|r| (r.key().unwrap(), r.payload().as_ref())).collect();
        assert_eq!(read, [(&b"a"[..], &b"one"[..]), (b"b", b"two!")]);
    }

    #[test]
    fn what_is_not_undone_is_refused_and_what_is_cut_short_does_not_read() {
        let mut short = batch();
        short.data.pop();
        assert_eq!(messages(&mut RecordBuffer::new(), short).unwrap_err().kind(), Kind::Decode);
        let mut compressed = batch();
        compressed.metadata.compression = Some(CompressionType::Zstd as i32);
        let error = messages(&mut RecordBuffer::new(), compressed).unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains("compressed"), "{error}");
    }
}
