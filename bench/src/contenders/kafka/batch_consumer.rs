//! librdkafka's batch call, which the `rdkafka` crate does not wrap.

#![allow(unsafe_code)]

use std::ptr::null_mut;
use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::bindings::{
    rd_kafka_consume_batch_queue, rd_kafka_message_destroy, rd_kafka_message_t, rd_kafka_queue_destroy,
    rd_kafka_queue_get_consumer, rd_kafka_queue_t,
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
}

impl Consuming {
    pub(super) fn open(task: &Task) -> Result<Self> {
        let consumer: BaseConsumer = super::consumer(task)?.create()?;
        consumer.subscribe(&[&task.topic])?;
        // SAFETY: the client lives as long as the consumer, which this keeps for longer than the queue.
        let queue = Queue(unsafe { rd_kafka_queue_get_consumer(consumer.client().native_ptr()) });
        Ok(Consuming { queue, consumer, topic: task.topic.clone() })
    }

    fn run(&self, count: u64, handler: &Handler) -> Result<()> {
        let mut offsets = Offsets::default();
        let mut left = count;
        // The batch call serves neither rebalances nor errors of the common queue before something is polled.
        while self.consumer.assignment()?.count() == 0 {
            if let Some(message) = self.consumer.poll(std::time::Duration::from_millis(10)) {
                let message = message?;
                use rdkafka::Message as _;
                handler.handle(message.payload().unwrap_or_default());
                offsets.handled(message.partition(), message.offset());
                left -= 1;
            }
        }
        let mut batch = [null_mut(); BATCH];
        while left > 0 {
            let most = left.min(BATCH as u64) as usize;
            for message in self.queue.consume(&mut batch[..most]) {
                if message.error()? {
                    continue;
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
