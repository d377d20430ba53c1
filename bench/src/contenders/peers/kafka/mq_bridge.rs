//! `mq-bridge`: its publisher and its consumer, batch by batch, without a route around them.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use mq_bridge::CanonicalMessage;
use mq_bridge::endpoints::kafka::{KafkaConsumer, KafkaPublisher};
use mq_bridge::models::KafkaConfig;
use mq_bridge::traits::{MessageConsumer, MessageDisposition, MessagePublisher};

use crate::Result;
use crate::contender::{Consume, Publish};
use crate::contenders::kafka::{CONSUMER, PRODUCER, WINDOW, addresses};
use crate::contenders::peers::batches::all;
use crate::harness::Handler;
use crate::task::{Item, Load, Task};

/// Messages of a batch.
const BATCH: u64 = 1_000;
/// Batches on their way.
const PIPELINE: usize = WINDOW / BATCH as usize;
/// The metadata that becomes the record's key.
const KEY: &str = "key";

fn config(task: &Task) -> Result<KafkaConfig> {
    Ok(KafkaConfig::new(addresses(task)?.join(",")).with_topic(&task.topic))
}

pub(super) struct Publishing {
    publisher: Arc<KafkaPublisher>,
    waiting: VecDeque<BoxFuture<'static, Result<()>>>,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let config = config(task)?.with_producer_option("compression.type", "none");
        let config =
            PRODUCER.iter().fold(config, |config, (name, value)| config.with_producer_option(*name, *value));
        let config = KafkaConfig { partition_key: Some(KEY.to_owned()), create_topic: Some(false), ..config };
        let publisher = Arc::new(KafkaPublisher::new(&config).await?);
        Ok(Publishing { publisher, waiting: VecDeque::new() })
    }

    async fn enqueue(&mut self, batch: Vec<CanonicalMessage>) -> Result<()> {
        self.confirm(PIPELINE - 1).await?;
        let publisher = self.publisher.clone();
        let mut sending = async move { all(publisher.send_batch(batch).await?) }.boxed();
        // The first poll hands it to librdkafka.
        match (&mut sending).now_or_never() {
            Some(sent) => sent,
            None => {
                self.waiting.push_back(sending);
                Ok(())
            }
        }
    }

    async fn confirm(&mut self, left: usize) -> Result<()> {
        while self.waiting.len() > left {
            let Some(sending) = self.waiting.pop_front() else { break };
            sending.await?;
        }
        Ok(())
    }
}

fn message(item: Item) -> CanonicalMessage {
    let key = String::from_utf8_lossy(&item.key).into_owned();
    CanonicalMessage::new_bytes(item.payload, None).with_metadata_kv(KEY, key)
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        let mut sent = 0;
        while sent < count {
            let until = count.min(sent + BATCH);
            self.enqueue((sent..until).map(|number| message(load.item(number))).collect()).await?;
            sent = until;
        }
        self.confirm(0).await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        self.enqueue(due.into_iter().map(message).collect()).await
    }

    async fn confirmed(&mut self) -> Result<()> {
        self.confirm(0).await
    }
}

pub(super) struct Consuming(KafkaConsumer);

impl Consuming {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let config = config(task)?.with_group_id(&task.group);
        let config =
            CONSUMER.iter().fold(config, |config, (name, value)| config.with_consumer_option(*name, *value));
        Ok(Consuming(KafkaConsumer::new(&config).await?))
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let batch = self.0.receive_batch(left.min(BATCH) as usize).await?;
            let received = batch.messages.len();
            batch.messages.iter().for_each(|message| handler.handle(&message.payload));
            (batch.commit)(vec![MessageDisposition::Ack; received]).await?;
            left -= received as u64;
        }
        Ok(())
    }

    async fn close(mut self: Box<Self>) -> Result<()> {
        Ok(self.0.close().await?)
    }
}
