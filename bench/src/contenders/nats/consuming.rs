//! A pull consumer that acknowledges each message, or all up to every 200th.

use std::sync::Arc;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_trait::async_trait;
use futures::StreamExt;

use crate::Result;
use crate::contender::Consume;
use crate::harness::Handler;
use crate::task::Task;

/// How it acknowledges: each so many messages, by this policy.
pub(super) type Way = (u64, AckPolicy);
pub(super) const EACH: Way = (1, AckPolicy::Explicit);
pub(super) const ALL: Way = (200, AckPolicy::All);

pub(super) struct Consuming {
    messages: pull::Stream,
    every: u64,
}

impl Consuming {
    pub(super) async fn open(task: &Task, way: Way) -> Result<Self> {
        let consumer = super::consumer(task, way.1).await?;
        let messages = consumer.stream().max_messages_per_batch(task.prefetch).messages().await?;
        Ok(Consuming { messages, every: way.0 })
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        for number in 1..=count {
            let message = self.messages.next().await.ok_or("the stream has ended")??;
            handler.handle(&message.payload);
            if number == count {
                message.double_ack().await?;
            } else if number % self.every == 0 {
                message.ack().await?;
            }
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
