//! Polled by one thread, offsets stored now and then.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::offsets::{Offsets, commit};
use crate::Result;
use crate::contender::Consume;
use crate::harness::Handler;
use crate::task::Task;

/// Messages between two times that offsets are stored.
const STORE: u64 = 1_000;

pub(super) struct Consuming {
    consumer: BaseConsumer,
    topic: String,
}

impl Consuming {
    pub(super) fn open(task: &Task) -> Result<Self> {
        let consumer: BaseConsumer = super::consumer(task)?.create()?;
        consumer.subscribe(&[&task.topic])?;
        Ok(Consuming { consumer, topic: task.topic.clone() })
    }

    fn run(&self, count: u64, handler: &Handler) -> Result<()> {
        let mut offsets = Offsets::default();
        let mut handled = 0;
        while handled < count {
            let Some(message) = self.consumer.poll(Duration::from_millis(100)) else { continue };
            let message = message?;
            handler.handle(message.payload().unwrap_or_default());
            offsets.handled(message.partition(), message.offset());
            handled += 1;
            if handled % STORE == 0 {
                offsets.store(&self.consumer, &self.topic)?;
            }
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
