//! Each message by itself.

use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::Message as _;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use crate::Result;
use crate::contender::{Consume, Publish};
use crate::harness::Handler;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    producer: FutureProducer,
    topic: String,
}

impl Publishing {
    pub(super) fn open(task: &Task) -> Result<Self> {
        Ok(Publishing { producer: super::producer(task)?.create()?, topic: task.topic.clone() })
    }

    async fn send(&self, item: &Item) -> Result<()> {
        let record = FutureRecord::to(&self.topic).key(&item.key[..]).payload(&item.payload[..]);
        self.producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
        Ok(())
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        for number in 0..count {
            self.send(&load.item(number)).await?;
        }
        Ok(())
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            self.send(&item).await?;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        Ok(())
    }
}

pub(super) struct Consuming(StreamConsumer);

impl Consuming {
    pub(super) fn open(task: &Task) -> Result<Self> {
        let consumer: StreamConsumer = super::consumer(task)?.set("enable.auto.commit", "false").create()?;
        consumer.subscribe(&[&task.topic])?;
        Ok(Consuming(consumer))
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        for _ in 0..count {
            let message = self.0.recv().await?;
            handler.handle(message.payload().unwrap_or_default());
            tokio::task::block_in_place(|| self.0.commit_message(&message, CommitMode::Sync))?;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
