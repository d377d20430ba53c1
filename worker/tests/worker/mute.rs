//! A broker that works, and never answers its administrator.

use std::any::Any;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{
    Admin, Backend, Broker, Consumer, Group, Guarantees, Publisher, PublisherOptions, Result, Subscription,
    Topic, TopicInfo, Topology,
};
use async_trait::async_trait;

#[derive(Debug)]
pub(crate) struct Mute(pub(crate) Broker);

#[async_trait]
impl Backend for Mute {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        self.0.publisher(options).await
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        self.0.consumer(subscription).await
    }

    async fn guarantees(&self, topic: Option<&Topic>, group: Option<&Group>) -> Result<Guarantees> {
        self.0.guarantees(topic, group).await
    }

    fn admin(&self) -> &dyn Admin {
        self
    }

    fn native(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.0.native()
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

#[async_trait]
impl Admin for Mute {
    async fn declare(&self, _: &Topology) -> Result<()> {
        pending().await
    }

    async fn delete(&self, _: &Topic) -> Result<()> {
        pending().await
    }

    async fn purge(&self, _: &Topic) -> Result<()> {
        pending().await
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        pending().await
    }

    async fn backlog(&self, _: &Topic, _: &Group) -> Result<u64> {
        pending().await
    }

    async fn health(&self) -> Result<Duration> {
        pending().await
    }
}
