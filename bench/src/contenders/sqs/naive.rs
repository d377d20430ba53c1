//! Each message by itself.

use std::sync::Arc;

use async_trait::async_trait;

use super::queue::{Queue, body, group};
use crate::Result;
use crate::contender::{Consume, Publish};
use crate::harness::Handler;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    queue: Queue,
    sent: u64,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        Ok(Publishing { queue: Queue::find(task).await?, sent: 0 })
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        self.pass((0..count).map(|number| load.item(number)).collect()).await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            let message = self.queue.client.send_message().queue_url(&self.queue.url);
            let message = message.message_body(body(&item)).message_group_id(group(&item));
            message.message_deduplication_id(self.sent.to_string()).send().await?;
            self.sent += 1;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        Ok(())
    }
}

pub(super) struct Consuming(Queue);

impl Consuming {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        Ok(Consuming(Queue::find(task).await?))
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        let mut handled = 0;
        while handled < count {
            for message in self.0.receive(1).send().await?.messages.unwrap_or_default() {
                handler.handle(message.body().unwrap_or_default().as_bytes());
                let handle = message.receipt_handle.unwrap_or_default();
                self.0.client.delete_message().queue_url(&self.0.url).receipt_handle(handle).send().await?;
                handled += 1;
            }
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
