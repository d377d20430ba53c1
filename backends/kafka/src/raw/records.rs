//! librdkafka's batch call: many records of a partition are taken at once (decision 29).

use std::ffi::{CStr, CString, c_void};
use std::ptr::{NonNull, null};
use std::sync::Arc;
use std::{slice, str};

use rdkafka::bindings::{
    rd_kafka_consume_batch_queue, rd_kafka_header_get_all, rd_kafka_headers_t, rd_kafka_message_destroy,
    rd_kafka_message_headers, rd_kafka_message_t, rd_kafka_message_timestamp, rd_kafka_queue_destroy,
    rd_kafka_queue_get_partition, rd_kafka_queue_t,
};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;

/// librdkafka's queue of one partition, and what was taken out of it and not read yet.
pub(crate) struct Queue<C: ConsumerContext + 'static> {
    /// Ours to free, once.
    native: NonNull<rd_kafka_queue_t>,
    /// In reverse: the next one is the last.
    taken: Vec<Message>,
    /// The one that was read last.
    read: Option<Message>,
    /// Keeps the client alive for longer than the rest, which is its.
    partition: PartitionQueue<C>,
}

// SAFETY: librdkafka's queues and messages may be used, and freed, by any thread; nothing here is bound to the one that
// made it, and a `Queue` is used by one at a time.
unsafe impl<C: ConsumerContext + 'static> Send for Queue<C> {}

impl<C: ConsumerContext + 'static> Queue<C> {
    /// The queue of one partition, split off the common one. To be called before the partition is assigned.
    pub(crate) fn split(consumer: &Arc<BaseConsumer<C>>, topic: &str, number: u32) -> Option<Self> {
        let partition = consumer.split_partition_queue(topic, number as i32)?;
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client is alive, and the topic's name ends with a zero. The queue that is returned, if any, is a
        // reference of our own to the partition's.
        let native = unsafe {
            rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), number as i32)
        };
        Some(Queue { native: NonNull::new(native)?, taken: Vec::new(), read: None, partition })
    }

    /// Calls `wake` when a record arrives in the empty queue.
    pub(crate) fn wake_by(&mut self, wake: impl Fn() + Send + Sync + 'static) {
        self.partition.set_nonempty_callback(wake);
    }

    /// Takes up to `most` records out of librdkafka, without waiting, unless some are left from before.
    pub(crate) fn take(&mut self, most: usize) {
        if !self.taken.is_empty() {
            return;
        }
        self.taken.reserve(most);
        // SAFETY: the queue is alive. The vector has room for `most` pointers, which `Message` is one of by its
        // representation, and the call writes no more than it says that it did: none of them null, each a message that
        // is ours to free.
        unsafe {
            let first = self.taken.as_mut_ptr().cast();
            let count = rd_kafka_consume_batch_queue(self.native.as_ptr(), 0, first, most);
            self.taken.set_len(usize::try_from(count).unwrap_or(0));
        }
        self.taken.reverse();
    }

    /// The next record of those that were taken.
    ///
    /// # Errors
    /// What librdkafka reports for the partition, in its place among the records.
    pub(crate) fn next(&mut self) -> Result<Option<Fields<'_>>, KafkaError> {
        self.read = self.taken.pop();
        self.read.as_ref().map(Message::fields).transpose()
    }
}

impl<C: ConsumerContext + 'static> Drop for Queue<C> {
    fn drop(&mut self) {
        self.taken.clear();
        self.read = None;
        // SAFETY: it is ours, nothing uses it any more, and the client is still alive.
        unsafe { rd_kafka_queue_destroy(self.native.as_ptr()) };
    }
}

/// A message of a consumer, freed when it is dropped.
#[repr(transparent)]
struct Message(NonNull<rd_kafka_message_t>);

impl Message {
    fn fields(&self) -> Result<Fields<'_>, KafkaError> {
        // SAFETY: it is freed only when this is dropped, and nobody else has it.
        let native = unsafe { self.0.as_ref() };
        match native.err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(Fields { native }),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                Err(KafkaError::PartitionEOF(native.partition))
            }
            error => Err(KafkaError::MessageConsumption(error.into())),
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody reads it any more.
        unsafe { rd_kafka_message_destroy(self.0.as_ptr()) };
    }
}

/// What a record has, where librdkafka keeps it.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    /// A message of a consumer, without an error.
    native: &'a rd_kafka_message_t,
}

impl<'a> Fields<'a> {
    /// Of a record that came by the common queue.
    pub(crate) fn of(message: &'a BorrowedMessage<'_>) -> Self {
        // SAFETY: the message is there for as long as it is borrowed. The crate makes none of a null pointer, nor of
        // an error.
        Fields { native: unsafe { &*message.ptr() } }
    }

    /// The offset.
    pub(crate) fn offset(self) -> u64 {
        self.native.offset.max(0) as u64
    }

    /// The value.
    pub(crate) fn payload(self) -> &'a [u8] {
        // SAFETY: pointer and length are those of the value, which is as long there as the message.
        unsafe { bytes(self.native.payload, self.native.len) }.unwrap_or_default()
    }

    /// The key.
    pub(crate) fn key(self) -> Option<&'a [u8]> {
        // SAFETY: as for the value.
        unsafe { bytes(self.native.key, self.native.key_len) }
    }

    /// Milliseconds since 1970, 0 if there is none.
    pub(crate) fn stored(self) -> i64 {
        // SAFETY: it is a message, and the kind of its time may be left out.
        unsafe { rd_kafka_message_timestamp(self.native, std::ptr::null_mut()) }.max(0)
    }

    /// The headers: name, none if it is no text, and value.
    pub(crate) fn headers(self) -> impl Iterator<Item = (Option<&'a str>, &'a [u8])> {
        let mut all: *mut rd_kafka_headers_t = std::ptr::null_mut();
        // SAFETY: it is a message of a consumer; the call parses its headers when it is asked first, which nobody else
        // does at the same time, and keeps them with it.
        let found = unsafe { rd_kafka_message_headers(self.native, &mut all) };
        let there = found == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        let mut indices = 0..if there { usize::MAX } else { 0 };
        std::iter::from_fn(move || {
            let (mut name, mut value, mut size) = (null(), null(), 0);
            // SAFETY: the headers are the message's. The call fails at an index that is past the last one.
            let found =
                unsafe { rd_kafka_header_get_all(all, indices.next()?, &mut name, &mut value, &mut size) };
            if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            // SAFETY: both are the header's, which is as long there as the message; the name ends with a zero.
            let (name, value) = unsafe { (CStr::from_ptr(name), bytes(value, size)) };
            Some((str::from_utf8(name.to_bytes()).ok(), value.unwrap_or_default()))
        })
    }
}

/// # Safety
/// `start` is null, or so many bytes are readable there for `'a`.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller says; where it is null nothing is read.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), length) })
}

#[cfg(test)]
mod tests;
