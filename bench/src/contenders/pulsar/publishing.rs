//! A producer with many messages on their way, whose receipts are awaited in order.

use std::collections::VecDeque;
use std::time::Duration;

use anybroker::MessageId;
use async_trait::async_trait;
use pulsar::producer::{Message, SendFuture};
use pulsar::routing_policy::RoutingPolicy;
use pulsar::{Producer, ProducerOptions, TokioExecutor};

use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load, Task};

/// The most that wait for a receipt: what anybroker's publisher has by default.
const WINDOW: usize = 10_000;

/// How messages become entries of the topic.
pub(super) struct Entries {
    /// So many in one.
    batch: Option<u32>,
    /// Each says its id.
    ids: bool,
}

impl Entries {
    pub(super) const EACH: Entries = Entries { batch: None, ids: false };
    pub(super) const IDS: Entries = Entries { batch: None, ids: true };
    pub(super) const BATCHED: Entries = Entries { batch: Some(200), ids: false };
}

pub(super) struct Publishing {
    producer: Producer<TokioExecutor>,
    entries: Entries,
    waiting: VecDeque<SendFuture>,
}

impl Publishing {
    pub(super) async fn open(task: &Task, entries: Entries) -> Result<Self> {
        let options = ProducerOptions {
            batch_size: entries.batch,
            // A batch that does not fill is sent all the same.
            batch_timeout: entries.batch.map(|_| Duration::from_millis(1)),
            block_queue_if_full: true,
            routing_policy: Some(RoutingPolicy::RoundRobin),
            ..Default::default()
        };
        let client = super::client(task).await?;
        let producer =
            client.producer().with_topic(super::topic(task)?).with_options(options).build().await?;
        Ok(Publishing { producer, entries, waiting: VecDeque::with_capacity(WINDOW) })
    }

    async fn send(&mut self, item: Item) -> Result<()> {
        self.confirm(WINDOW - 1).await?;
        let mut message = message(item);
        if self.entries.ids {
            message.properties.insert("ce_id".to_owned(), MessageId::new().to_string());
        }
        self.waiting.push_back(self.producer.send_non_blocking(message).await?);
        Ok(())
    }

    /// Waits for the oldest until so many are left.
    async fn confirm(&mut self, left: usize) -> Result<()> {
        while self.waiting.len() > left {
            let Some(oldest) = self.waiting.pop_front() else { break };
            oldest.await?;
        }
        Ok(())
    }
}

pub(super) fn message(item: Item) -> Message {
    let key = String::from_utf8_lossy(&item.key).into_owned();
    Message { payload: item.payload.to_vec(), partition_key: Some(key), ..Default::default() }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        for number in 0..count {
            self.send(load.item(number)).await?;
        }
        self.confirmed().await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            self.send(item).await?;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        self.confirm(0).await
    }
}
