//! The batch path.

use std::collections::VecDeque;
use std::sync::Arc;

use anybroker::kit::Confirmations;
use anybroker::{Broker, Consumer, Message, Settlement, SharedPublisher};
use async_trait::async_trait;

use super::{broker, publisher, subscription};
use crate::Result;
use crate::contender::{Consume, Publish};
use crate::harness::Handler;
use crate::task::{Item, Load, Task};

/// Messages of a batch, and batches on their way.
const BATCH: u64 = 1_000;
const PIPELINE: usize = 8;

pub(super) struct Publishing {
    _broker: Broker,
    publisher: SharedPublisher,
    waiting: VecDeque<Confirmations>,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let (broker, publisher) = publisher(task).await?;
        Ok(Publishing { _broker: broker, publisher, waiting: VecDeque::new() })
    }

    async fn enqueue(&mut self, batch: Vec<Message>) -> Result<()> {
        let permit = self.publisher.ready(batch.len(), batch.iter().map(Message::size).sum()).await?;
        self.waiting.push_back(self.publisher.enqueue(permit, batch));
        Ok(())
    }

    async fn confirm(&mut self, left: usize) -> Result<()> {
        while self.waiting.len() > left {
            let Some(confirmations) = self.waiting.pop_front() else { break };
            for outcome in confirmations.await {
                outcome?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        let mut sent = 0;
        while sent < count {
            let until = count.min(sent + BATCH);
            self.confirm(PIPELINE - 1).await?;
            self.enqueue((sent..until).map(|number| load.item(number).into()).collect()).await?;
            sent = until;
        }
        self.confirm(0).await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        self.enqueue(due.into_iter().map(Into::into).collect()).await
    }

    async fn confirmed(&mut self) -> Result<()> {
        self.confirm(0).await
    }
}

pub(super) struct Consuming {
    _broker: Broker,
    consumer: Box<dyn Consumer>,
}

impl Consuming {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let broker = broker(task).await?;
        let consumer = broker.consumer(subscription(task)?).await?;
        Ok(Consuming { _broker: broker, consumer })
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        let settler = self.consumer.settler();
        let mut left = count;
        while left > 0 {
            let batch = self.consumer.receive(left.min(BATCH) as usize).await?;
            left -= batch.len() as u64;
            batch.iter().for_each(|delivery| handler.handle(delivery.payload()));
            for settled in settler.settle(batch.into_iter().map(Settlement::ack).collect()).await {
                settled?;
            }
        }
        settler.flush().await?;
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(self.consumer.close().await?)
    }
}
