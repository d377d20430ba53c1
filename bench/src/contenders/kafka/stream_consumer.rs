//! A stream, each offset stored after handling.

use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::Message as _;
use rdkafka::consumer::{Consumer, StreamConsumer};

use super::offsets;
use crate::Result;
use crate::contender::Consume;
use crate::harness::Handler;
use crate::task::Task;

pub(super) struct Consuming(StreamConsumer);

impl Consuming {
    pub(super) fn open(task: &Task) -> Result<Self> {
        let consumer: StreamConsumer = super::consumer(task)?.create()?;
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
            self.0.store_offset_from_message(&message)?;
        }
        tokio::task::block_in_place(|| offsets::commit(&self.0))
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
