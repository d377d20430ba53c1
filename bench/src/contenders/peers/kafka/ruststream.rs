//! `ruststream` with `ruststream-rdkafka`: its publisher and its subscriber, driven by a loop.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use ruststream::{
    BatchSubscriber, Broker, ConnectedBroker, HeaderMap, IncomingMessage, OutgoingMessage, Publisher, Str,
};
use ruststream_rdkafka::{
    Commit, ConnectedKafkaBroker, KafkaBroker, KafkaPublish, KafkaPublisher, KafkaSubscriber, KafkaTopic,
    PARTITION_KEY_HEADER, StartOffset,
};

use crate::Result;
use crate::contender::{Consume, Publish};
use crate::contenders::kafka::{COMMIT_INTERVAL, CONSUMER, PRODUCER, addresses};
use crate::harness::Handler;
use crate::task::{Item, Load, Task};

/// Messages of a batch.
const BATCH: u64 = 1_000;
/// What waits for a confirmation at most. Each is a future; with 10,000 of them it was slower, and took more processor time.
const ON_THE_WAY: usize = 2_000;

pub(super) struct Publishing {
    _broker: ConnectedKafkaBroker,
    publisher: KafkaPublisher,
    topic: String,
    passed: Sending<BoxFuture<'static, Result<()>>>,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let broker = PRODUCER.iter().fold(KafkaBroker::new(addresses(task)?), |broker, (name, value)| {
            broker.producer_config(*name, *value)
        });
        let broker = broker.connect().await?;
        let publisher = broker.publisher(KafkaPublish::default());
        Ok(Publishing {
            _broker: broker,
            publisher,
            topic: task.topic.clone(),
            passed: Sending(VecDeque::new()),
        })
    }
}

/// Done when the broker has confirmed it.
async fn send(publisher: &KafkaPublisher, topic: &str, item: Item) -> Result<()> {
    let mut headers = HeaderMap::new();
    headers.insert(Str::from_static(PARTITION_KEY_HEADER), item.key);
    let message = OutgoingMessage::new(topic, &item.payload).with_headers(headers);
    Ok(publisher.publish(message, None).await?)
}

/// What is not confirmed yet, the oldest first.
struct Sending<F>(VecDeque<Pin<Box<F>>>);

impl<F: Future<Output = Result<()>>> Sending<F> {
    async fn push(&mut self, send: F) -> Result<()> {
        if self.0.len() >= ON_THE_WAY {
            self.oldest().await?;
        }
        let mut send = Box::pin(send);
        // The first poll hands it to librdkafka.
        match (&mut send).now_or_never() {
            Some(sent) => sent,
            None => {
                self.0.push_back(send);
                Ok(())
            }
        }
    }

    async fn oldest(&mut self) -> Result<()> {
        match self.0.pop_front() {
            Some(send) => send.await,
            None => Ok(()),
        }
    }

    async fn confirmed(&mut self) -> Result<()> {
        while !self.0.is_empty() {
            self.oldest().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        let mut sending = Sending(VecDeque::with_capacity(ON_THE_WAY));
        for number in 0..count {
            sending.push(send(&self.publisher, &self.topic, load.item(number))).await?;
        }
        sending.confirmed().await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            let (publisher, topic) = (self.publisher.clone(), self.topic.clone());
            self.passed.push(async move { send(&publisher, &topic, item).await }.boxed()).await?;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        self.passed.confirmed().await
    }
}

pub(super) struct Consuming {
    broker: ConnectedKafkaBroker,
    subscriber: KafkaSubscriber,
}

impl Consuming {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let broker = KafkaBroker::new(addresses(task)?).connect().await?;
        let topic = KafkaTopic::new(&task.topic)
            .group(&task.group)
            .start(StartOffset::Earliest)
            .commit(Commit::Tracked)
            .config("auto.commit.interval.ms", COMMIT_INTERVAL);
        let topic = CONSUMER.iter().fold(topic, |topic, (name, value)| topic.config(*name, *value));
        let subscriber = broker.subscribe_with(topic).await?;
        Ok(Consuming { broker, subscriber })
    }

    /// Handles one batch of at most so many; returns of how many.
    async fn batch(&mut self, most: NonZeroUsize, handler: &Handler) -> Result<u64> {
        let mut batches = pin!(self.subscriber.batches(most));
        let batch = batches.next().await.ok_or("the subscription has ended")??;
        let count = batch.len() as u64;
        for message in batch {
            handler.handle(message.payload());
            message.ack().await?;
        }
        Ok(count)
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        let mut left = count;
        while let Some(most) = NonZeroUsize::new(left.min(BATCH) as usize) {
            left -= self.batch(most, handler).await?;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        let Consuming { broker, subscriber } = *self;
        tokio::task::block_in_place(|| drop(subscriber));
        broker.shutdown().await?;
        Ok(())
    }
}
