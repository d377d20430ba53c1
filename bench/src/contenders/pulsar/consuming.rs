//! A consumer that acknowledges each message, or all up to every 200th.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use pulsar::consumer::Message;
use pulsar::{Consumer, SubType, TokioExecutor};

use crate::Result;
use crate::contender::Consume;
use crate::harness::Handler;
use crate::task::Task;

/// How it subscribes and acknowledges.
pub(super) struct Way {
    kind: SubType,
    /// Each so many messages, with all before them; none: each by itself.
    every: Option<u64>,
    /// Messages in its queue; none: the prefetch.
    queue: Option<usize>,
}

impl Way {
    pub(super) const NAIVE: Way = Way { kind: SubType::KeyShared, every: None, queue: Some(1) };
    pub(super) const EACH: Way = Way { kind: SubType::KeyShared, every: None, queue: None };
    pub(super) const ALL: Way = Way { kind: SubType::Failover, every: Some(200), queue: None };
}

pub(super) struct Consuming {
    consumer: Consumer<Vec<u8>, TokioExecutor>,
    every: Option<u64>,
    /// The last message of each partition that is handled and not acknowledged.
    handled: HashMap<Option<i32>, Message<Vec<u8>>>,
}

impl Consuming {
    pub(super) async fn open(task: &Task, way: Way) -> Result<Self> {
        let consumer = super::consumer(task, way.kind, way.queue.unwrap_or(task.prefetch)).await?;
        Ok(Consuming { consumer, every: way.every, handled: HashMap::new() })
    }

    async fn acknowledge(&mut self) -> Result<()> {
        for message in self.handled.drain().map(|(_, message)| message) {
            self.consumer.cumulative_ack(&message).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        for number in 1..=count {
            let message = self.consumer.next().await.ok_or("the consumer has ended")??;
            handler.handle(&message.payload.data);
            match self.every {
                None => self.consumer.ack(&message).await?,
                Some(every) => {
                    self.handled.insert(message.message_id().partition, message);
                    if number % every == 0 {
                        self.acknowledge().await?;
                    }
                }
            }
        }
        self.acknowledge().await?;
        // The answer comes when the broker has read what was sent before.
        self.consumer.get_last_message_id().await?;
        Ok(())
    }

    async fn close(mut self: Box<Self>) -> Result<()> {
        Ok(self.consumer.close().await?)
    }
}
