//! One message after the other.

use std::sync::Arc;

use anybroker::{Broker, Consumer, ConsumerExt, PublisherExt, SharedPublisher};
use async_trait::async_trait;

use super::{broker, publisher, subscription};
use crate::Result;
use crate::contender::{Consume, Publish};
use crate::harness::Handler;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    _broker: Broker,
    publisher: SharedPublisher,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let (broker, publisher) = publisher(task).await?;
        Ok(Publishing { _broker: broker, publisher })
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        for number in 0..count {
            self.publisher.publish(load.item(number).into()).await?;
        }
        Ok(())
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            self.publisher.publish(item.into()).await?;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        Ok(())
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
        for _ in 0..count {
            let delivery = self.consumer.next().await?;
            handler.handle(delivery.payload());
            delivery.ack().await?;
        }
        self.consumer.settler().flush().await?;
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(self.consumer.close().await?)
    }
}
