//! A future for each message, many on their way.

use std::collections::VecDeque;

use async_trait::async_trait;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};

use super::WINDOW;
use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    producer: FutureProducer,
    topic: String,
    waiting: VecDeque<DeliveryFuture>,
}

impl Publishing {
    pub(super) fn open(task: &Task) -> Result<Self> {
        let producer = super::producer(task)?.create()?;
        Ok(Publishing { producer, topic: task.topic.clone(), waiting: VecDeque::with_capacity(WINDOW) })
    }

    async fn send(&mut self, item: &Item) -> Result<()> {
        if self.waiting.len() >= WINDOW {
            self.oldest().await?;
        }
        loop {
            let record = FutureRecord::to(&self.topic).key(&item.key[..]).payload(&item.payload[..]);
            match self.producer.send_result(record) {
                Ok(future) => self.waiting.push_back(future),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.oldest().await?;
                    continue;
                }
                Err((error, _)) => return Err(error.into()),
            }
            return Ok(());
        }
    }

    async fn oldest(&mut self) -> Result<()> {
        if let Some(future) = self.waiting.pop_front() {
            future.await?.map_err(|(error, _)| error)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        for number in 0..count {
            self.send(&load.item(number)).await?;
        }
        self.confirmed().await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            self.send(&item).await?;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            self.oldest().await?;
        }
        Ok(())
    }
}
