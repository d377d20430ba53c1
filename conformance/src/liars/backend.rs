//! The broker that lies, over one that does not.

use std::sync::Arc;

use anybroker_core::{
    Admin, Backend, Broker, Consumer, Group, GroupInfo, Guarantees, Publisher, PublisherOptions, Result,
    Subscription, Topic, TopicInfo, Topology, TransactionOptions, TransactionalPublisher, async_trait,
};

use super::consumer::LyingConsumer;
use super::publisher::LyingPublisher;
use super::transactions::LyingTransactions;
use super::world::{Telling, World};

#[derive(Debug)]
pub(super) struct LyingBackend {
    broker: Broker,
    world: Arc<World>,
}

impl LyingBackend {
    pub(super) fn over(broker: Broker, world: Arc<World>) -> Broker {
        Arc::new(LyingBackend { broker, world })
    }

    async fn telling(&self) -> Result<(Guarantees, Telling)> {
        let promised = self.guarantees(None, None).await?;
        let telling = Telling::of(&promised);
        Ok((promised, telling))
    }
}

#[async_trait]
impl Backend for LyingBackend {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        let (promised, telling) = self.telling().await?;
        let publisher = self.broker.publisher(options.clone()).await?;
        let most = self.world.lie.most(promised.limits.message_bytes.unwrap_or(usize::MAX));
        Ok(Arc::new(LyingPublisher::new(publisher, &options, most, telling, self.world.clone())))
    }

    async fn consumer(&self, mut subscription: Subscription) -> Result<Box<dyn Consumer>> {
        let (_, telling) = self.telling().await?;
        let group = self.world.group(&subscription.topic, &subscription.group);
        self.world.lie.open(&mut subscription);
        let consumer = self.broker.consumer(subscription).await?;
        Ok(Box::new(LyingConsumer::new(consumer, self.world.clone(), group, telling)))
    }

    async fn transactional_publisher(
        &self,
        options: TransactionOptions,
    ) -> Result<Box<dyn TransactionalPublisher>> {
        let publisher = self.broker.transactional_publisher(options).await?;
        Ok(Box::new(LyingTransactions { publisher, broker: self.broker.clone(), world: self.world.clone() }))
    }

    async fn guarantees(&self, topic: Option<&Topic>, group: Option<&Group>) -> Result<Guarantees> {
        Ok(self.world.promised(self.broker.guarantees(topic, group).await?))
    }

    fn admin(&self) -> &dyn Admin {
        self
    }

    async fn close(&self) -> Result<()> {
        self.broker.close().await
    }
}

#[async_trait]
impl Admin for LyingBackend {
    async fn declare(&self, topology: &Topology) -> Result<()> {
        self.broker.admin().declare(&self.world.lie.declare(topology)).await
    }

    async fn delete(&self, topic: &Topic) -> Result<()> {
        self.broker.admin().delete(topic).await
    }

    async fn purge(&self, topic: &Topic) -> Result<()> {
        self.broker.admin().purge(topic).await
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.broker.admin().topics().await
    }

    async fn backlog(&self, topic: &Topic, group: &Group) -> Result<u64> {
        let honest = self.broker.admin().backlog(topic, group).await?;
        Ok(self.world.lie.backlog(topic, honest))
    }

    async fn groups(&self, topic: &Topic) -> Result<Vec<GroupInfo>> {
        self.broker.admin().groups(topic).await
    }

    async fn health(&self) -> Result<std::time::Duration> {
        self.broker.admin().health().await
    }
}
