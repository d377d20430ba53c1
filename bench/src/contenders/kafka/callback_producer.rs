//! A delivery callback, polled by the thread that sends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load, Task};

/// Counts what is confirmed and what failed.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) confirmed: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl ClientContext for Counts {}

impl ProducerContext for Counts {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() { &self.confirmed } else { &self.failed };
        count.fetch_add(1, Ordering::AcqRel);
    }
}

impl Counts {
    /// Fails if a message has failed.
    pub(super) fn check(&self) -> Result<()> {
        match self.failed.load(Ordering::Acquire) {
            0 => Ok(()),
            failed => Err(format!("{failed} messages failed").into()),
        }
    }
}

/// Messages between two polls.
const POLL: u64 = 500;

pub(super) struct Publishing {
    producer: BaseProducer<Counts>,
    topic: String,
    sent: u64,
}

impl Publishing {
    pub(super) fn open(task: &Task) -> Result<Self> {
        let producer = super::producer(task)?.create_with_context(Counts::default())?;
        Ok(Publishing { producer, topic: task.topic.clone(), sent: 0 })
    }

    fn send(&mut self, item: &Item) -> Result<()> {
        let mut record = BaseRecord::to(&self.topic).key(&item.key[..]).payload(&item.payload[..]);
        while let Err((error, again)) = self.producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            self.producer.poll(Duration::from_millis(1));
            record = again;
        }
        self.sent += 1;
        if self.sent.is_multiple_of(POLL) {
            self.producer.poll(Duration::ZERO);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.producer.flush(Duration::from_secs(60))?;
        let counts = self.producer.context();
        counts.check()?;
        let confirmed = counts.confirmed.load(Ordering::Acquire);
        if confirmed != self.sent {
            return Err(format!("{confirmed} of {} messages are confirmed", self.sent).into());
        }
        Ok(())
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        tokio::task::block_in_place(|| {
            (0..count).try_for_each(|number| self.send(&load.item(number)))?;
            self.flush()
        })
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        due.iter().try_for_each(|item| self.send(item))
    }

    async fn confirmed(&mut self) -> Result<()> {
        tokio::task::block_in_place(|| self.flush())
    }
}
