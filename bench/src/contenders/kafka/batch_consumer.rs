//! librdkafka's batch call, which the `rdkafka` crate does not wrap.

#![allow(unsafe_code)]

use std::ffi::{CString, c_void};
use std::hint::black_box;
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::Message as _;
use rdkafka::bindings::{
    rd_kafka_consume_batch_queue, rd_kafka_header_get_last, rd_kafka_message_destroy,
    rd_kafka_message_headers, rd_kafka_message_t, rd_kafka_queue_destroy, rd_kafka_queue_forward,
    rd_kafka_queue_get_partition, rd_kafka_queue_new, rd_kafka_queue_t,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaRespErr;

use super::offsets::{Offsets, commit};
use crate::Result;
use crate::contender::Consume;
use crate::harness::Handler;
use crate::task::Task;

const BATCH: usize = 1_000;
const WAIT_MS: i32 = 100;

pub(super) struct Consuming {
    // Before the consumer that it belongs to.
    queue: Queue,
    consumer: BaseConsumer,
    topic: String,
    assigned: bool,
    /// Whether it looks at the ids of messages, as ours does.
    ids: bool,
}

impl Consuming {
    pub(super) fn open(task: &Task, ids: bool) -> Result<Self> {
        let consumer: BaseConsumer = super::consumer(task)?.create()?;
        consumer.subscribe(&[&task.topic])?;
        // SAFETY: the client lives as long as the consumer, which this keeps for longer than the queue.
        let queue = Queue(unsafe { rd_kafka_queue_new(consumer.client().native_ptr()) });
        Ok(Consuming { queue, consumer, topic: task.topic.clone(), assigned: false, ids })
    }

    fn run(&mut self, count: u64, handler: &Handler) -> Result<()> {
        let mut offsets = Offsets::default();
        let mut left = count;
        let mut batch = [null_mut(); BATCH];
        while left > 0 {
            // Rebalances and commits come by the common queue, and what was there before the partitions had theirs.
            let wait = Duration::from_millis(if self.assigned { 0 } else { 10 });
            if let Some(message) = self.consumer.poll(wait) {
                let message = message?;
                handler.handle(message.payload().unwrap_or_default());
                offsets.handled(message.partition(), message.offset());
                left -= 1;
                continue;
            }
            if !self.assigned {
                self.redirect()?;
                continue;
            }
            let most = left.min(BATCH as u64) as usize;
            for message in self.queue.consume(&mut batch[..most]) {
                if message.error()? {
                    continue;
                }
                if self.ids {
                    black_box(message.id());
                }
                handler.handle(message.payload());
                offsets.handled(message.partition(), message.offset());
                left -= 1;
            }
            offsets.store(&self.consumer, &self.topic)?;
        }
        offsets.store(&self.consumer, &self.topic)?;
        commit(&self.consumer)
    }

    /// Sends the assigned partitions' messages to our queue: the batch call cannot serve the common one, in which the `rdkafka`
    /// crate has its events.
    fn redirect(&mut self) -> Result<()> {
        let assignment = self.consumer.assignment()?;
        for partition in assignment.elements() {
            let topic = CString::new(partition.topic())?;
            let client = self.consumer.client().native_ptr();
            // SAFETY: the client and our queue are alive, and the topic's name ends with a zero.
            unsafe {
                let queue = rd_kafka_queue_get_partition(client, topic.as_ptr(), partition.partition());
                if queue.is_null() {
                    return Err("a partition has no queue".into());
                }
                rd_kafka_queue_forward(queue, self.queue.0);
                rd_kafka_queue_destroy(queue);
            }
            self.assigned = true;
        }
        Ok(())
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        tokio::task::block_in_place(|| self.run(count, handler))
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct Queue(*mut rd_kafka_queue_t);

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    fn consume<'a>(&self, batch: &'a mut [*mut rd_kafka_message_t]) -> impl Iterator<Item = Message> + 'a {
        // SAFETY: the queue is alive, and the call writes at most so many pointers as the slice has room for.
        let count = unsafe { rd_kafka_consume_batch_queue(self.0, WAIT_MS, batch.as_mut_ptr(), batch.len()) };
        batch[..count.max(0) as usize].iter().map(|message| Message(*message))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: it was made by `rd_kafka_queue_get_consumer`, and is destroyed once.
        unsafe { rd_kafka_queue_destroy(self.0) };
    }
}

/// A message that is ours until it is dropped.
struct Message(*mut rd_kafka_message_t);

impl Message {
    fn get(&self) -> &rd_kafka_message_t {
        // SAFETY: librdkafka gave the message to us, and it is destroyed only with this.
        unsafe { &*self.0 }
    }

    /// Whether it is no message after all.
    fn error(&self) -> Result<bool> {
        match self.get().err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(false),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => Ok(true),
            error => Err(format!("{error:?}").into()),
        }
    }

    fn payload(&self) -> &[u8] {
        let message = self.get();
        if message.payload.is_null() {
            return &[];
        }
        // SAFETY: pointer and length are those of the message's payload, which lives as long as the message.
        unsafe { std::slice::from_raw_parts(message.payload.cast(), message.len) }
    }

    /// The value of the id's header.
    fn id(&self) -> Option<&[u8]> {
        let (mut headers, mut value, mut size) = (null_mut(), null::<c_void>(), 0);
        // SAFETY: the message is alive, which the headers belong to, and the name ends with a zero.
        let found = unsafe {
            match rd_kafka_message_headers(self.0, &mut headers) {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    rd_kafka_header_get_last(headers, c"ce_id".as_ptr(), &mut value, &mut size)
                }
                error => error,
            }
        };
        if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || value.is_null() {
            return None;
        }
        // SAFETY: pointer and length are those of the header's value, which lives as long as the message.
        Some(unsafe { std::slice::from_raw_parts(value.cast(), size) })
    }

    fn partition(&self) -> i32 {
        self.get().partition
    }

    fn offset(&self) -> i64 {
        self.get().offset
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: it is ours, and is destroyed once.
        unsafe { rd_kafka_message_destroy(self.0) };
    }
}
