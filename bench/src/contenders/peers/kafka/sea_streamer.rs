//! `sea-streamer`: its producer for Kafka, which alone of its producers takes keys, and its consumer's stream.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use sea_streamer_kafka::{
    AutoOffsetReset, FutureRecord, KafkaConsumer, KafkaConsumerOptions, KafkaProducer, KafkaProducerOptions,
    KafkaStreamer, SendFuture,
};
use sea_streamer_types::{
    Buffer, Consumer, ConsumerGroup, ConsumerMode, ConsumerOptions, Message, StreamKey, Streamer, StreamerUri,
};

use crate::Result;
use crate::contender::{Consume, Publish};
use crate::contenders::kafka::{COMMIT_INTERVAL, CONSUMER, PRODUCER, WINDOW, addresses};
use crate::harness::Handler;
use crate::task::{Item, Load, Task};

/// Messages between two times that offsets are stored.
const STORE: u64 = 1_000;

async fn streamer(task: &Task) -> Result<KafkaStreamer> {
    let uri: StreamerUri = format!("kafka://{}", addresses(task)?.join(",")).parse()?;
    Ok(KafkaStreamer::connect(uri, Default::default()).await?)
}

pub(super) struct Publishing {
    producer: KafkaProducer,
    topic: String,
    waiting: VecDeque<SendFuture>,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let mut options = KafkaProducerOptions::default();
        for (name, value) in PRODUCER {
            options.add_custom_option(*name, *value);
        }
        let producer = streamer(task).await?.create_producer(StreamKey::new(&task.topic)?, options).await?;
        Ok(Publishing { producer, topic: task.topic.clone(), waiting: VecDeque::with_capacity(WINDOW) })
    }

    async fn send(&mut self, item: &Item) -> Result<()> {
        if self.waiting.len() >= WINDOW {
            self.oldest().await?;
        }
        let record = FutureRecord::to(&self.topic).key(&item.key[..]).payload(&item.payload[..]);
        self.waiting.push_back(self.producer.send_record(record)?);
        Ok(())
    }

    async fn oldest(&mut self) -> Result<()> {
        if let Some(sending) = self.waiting.pop_front() {
            sending.await?;
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

pub(super) struct Consuming {
    consumer: KafkaConsumer,
    stream: StreamKey,
}

impl Consuming {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let stream = StreamKey::new(&task.topic)?;
        let mut options = KafkaConsumerOptions::new(ConsumerMode::LoadBalanced);
        options.set_consumer_group(ConsumerGroup::new(&task.group))?;
        options.set_auto_offset_reset(AutoOffsetReset::Earliest).set_enable_auto_offset_store(false);
        options.set_enable_auto_commit(true).add_custom_option("auto.commit.interval.ms", COMMIT_INTERVAL);
        for (name, value) in CONSUMER {
            options.add_custom_option(*name, *value);
        }
        let consumer = streamer(task).await?.create_consumer(std::slice::from_ref(&stream), options).await?;
        Ok(Consuming { consumer, stream })
    }

    /// Handles so many, and stores how far each shard is handled. The stream has the consumer to itself until then.
    async fn portion(&mut self, count: u64, handler: &Handler) -> Result<()> {
        let mut last = BTreeMap::new();
        let mut messages = self.consumer.stream();
        for _ in 0..count {
            let message = messages.next().await.ok_or("the stream has ended")??;
            handler.handle(message.message().as_bytes());
            last.insert(message.shard_id(), message.sequence());
        }
        drop(messages);
        for (shard, sequence) in &last {
            self.consumer.store_offset(&self.stream, shard, sequence)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let portion = left.min(STORE);
            self.portion(portion, handler).await?;
            left -= portion;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        tokio::task::block_in_place(|| drop(self.consumer));
        Ok(())
    }
}
