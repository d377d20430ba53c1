//! Each message by itself.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{SelectAll, select_all};
use lapin::options::BasicAckOptions;
use lapin::{Connection, Consumer};

use super::outgoing::Outgoing;
use crate::Result;
use crate::contender::{Consume, Publish};
use crate::harness::Handler;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing(Outgoing);

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        Ok(Publishing(Outgoing::open(task, false).await?))
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        for number in 0..count {
            self.0.publish(load.item(number)).await?;
        }
        Ok(())
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            self.0.publish(item).await?;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        Ok(())
    }
}

pub(super) struct Consuming {
    _connection: Connection,
    consumers: SelectAll<Consumer>,
}

impl Consuming {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let connection = super::connect(task).await?;
        let channel = connection.create_channel().await?;
        let mut consumers = Vec::new();
        for queue in super::queues(task) {
            consumers.push(super::consumer(&channel, queue, 1).await?);
        }
        Ok(Consuming { _connection: connection, consumers: select_all(consumers) })
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        for _ in 0..count {
            let delivery = self.consumers.next().await.ok_or("the consumers have ended")??;
            handler.handle(&delivery.data);
            delivery.ack(BasicAckOptions::default()).await?;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
