//! A delivery callback on a thread of its own.

use std::time::Duration;

use anybroker::MessageId;
use async_trait::async_trait;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::callback_producer::Counts;
use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    producer: ThreadedProducer<Counts>,
    topic: String,
    /// Whether messages say an id, as ours do.
    ids: bool,
}

impl Publishing {
    pub(super) fn open(task: &Task, ids: bool) -> Result<Self> {
        let producer = super::producer(task)?.create_with_context(Counts::default())?;
        Ok(Publishing { producer, topic: task.topic.clone(), ids })
    }

    fn send(&self, item: &Item) -> Result<()> {
        let mut record = BaseRecord::to(&self.topic).key(&item.key[..]).payload(&item.payload[..]);
        if self.ids {
            let id = MessageId::new().to_string();
            let header = Header { key: "ce_id", value: Some(&id) };
            record = record.headers(OwnedHeaders::new_with_capacity(1).insert(header));
        }
        while let Err((error, again)) = self.producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            std::thread::sleep(Duration::from_millis(1));
            record = again;
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.producer.flush(Duration::from_secs(60))?;
        self.producer.context().check()
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
