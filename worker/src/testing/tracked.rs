//! A broker that notes what is published through it.

use std::any::Any;
use std::sync::Arc;

use anybroker_core::kit::{Confirmations, Permit};
use anybroker_core::{
    Admin, Backend, Broker, Consumer, Group, Guarantees, Key, Message, Publisher, PublisherOptions, Result,
    Subscription, Topic,
};
use async_trait::async_trait;

use super::app::Log;

/// Passes everything on, and notes what is published.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) broker: Broker,
    pub(super) log: Arc<Log>,
}

#[async_trait]
impl Backend for Tracked {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        let publisher = self.broker.publisher(options).await?;
        Ok(Arc::new(TrackedPublisher { publisher, log: self.log.clone() }))
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        self.broker.consumer(subscription).await
    }

    async fn guarantees(&self, topic: Option<&Topic>, group: Option<&Group>) -> Result<Guarantees> {
        self.broker.guarantees(topic, group).await
    }

    fn admin(&self) -> &dyn Admin {
        self.broker.admin()
    }

    fn native(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.broker.native()
    }

    async fn close(&self) -> Result<()> {
        self.broker.close().await
    }
}

#[derive(Debug)]
struct TrackedPublisher {
    publisher: Arc<dyn Publisher>,
    log: Arc<Log>,
}

#[async_trait]
impl Publisher for TrackedPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.publisher.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        self.log.published(self.publisher.topic(), &batch);
        self.publisher.enqueue(permit, batch)
    }

    async fn flush(&self) -> Result<()> {
        self.publisher.flush().await
    }

    fn resume(&self, key: &Key) {
        self.publisher.resume(key);
    }

    fn topic(&self) -> &Topic {
        self.publisher.topic()
    }

    async fn close(&self) -> Result<()> {
        self.publisher.close().await
    }
}
