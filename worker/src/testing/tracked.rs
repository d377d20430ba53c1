//! A broker that notes what is published through it.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use anybroker_core::kit::{Confirmations, Permit};
use anybroker_core::{
    Admin, Backend, Broker, Consumer, Delivery, Group, Guarantees, Key, Message, Publisher, PublisherOptions,
    Result, Subscription, Topic, Transaction, TransactionOptions, TransactionalId, TransactionalPublisher,
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

    async fn transactional_publisher(
        &self,
        options: TransactionOptions,
    ) -> Result<Box<dyn TransactionalPublisher>> {
        let publisher = self.broker.transactional_publisher(options).await?;
        Ok(Box::new(TrackedTransactions { publisher, log: self.log.clone() }))
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

#[derive(Debug)]
struct TrackedTransactions {
    publisher: Box<dyn TransactionalPublisher>,
    log: Arc<Log>,
}

#[async_trait]
impl TransactionalPublisher for TrackedTransactions {
    async fn begin(&mut self) -> Result<Box<dyn Transaction + '_>> {
        let transaction = self.publisher.begin().await?;
        Ok(Box::new(TrackedTransaction { transaction, log: &self.log, published: Mutex::default() }))
    }

    fn id(&self) -> &TransactionalId {
        self.publisher.id()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.publisher.close().await
    }
}

/// What is published in it is noted with the commit.
#[derive(Debug)]
struct TrackedTransaction<'a> {
    transaction: Box<dyn Transaction + 'a>,
    log: &'a Log,
    published: Mutex<Vec<(Topic, Vec<Message>)>>,
}

#[async_trait]
impl Transaction for TrackedTransaction<'_> {
    async fn publish(&self, topic: &Topic, batch: Vec<Message>) -> Result<()> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).push((topic.clone(), batch.clone()));
        self.transaction.publish(topic, batch).await
    }

    async fn settle(&self, batch: Vec<Delivery>) -> Result<()> {
        self.transaction.settle(batch).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.transaction.commit().await?;
        let published = self.published.into_inner().unwrap_or_else(PoisonError::into_inner);
        published.iter().for_each(|(topic, batch)| self.log.published(topic, batch));
        Ok(())
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.transaction.abort().await
    }
}
