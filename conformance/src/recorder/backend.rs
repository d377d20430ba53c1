//! The recorded broker.

use std::any::Any;
use std::sync::Arc;

use anybroker_core::{
    Admin, Backend, Broker, Consumer, Group, Guarantees, Publisher, PublisherOptions, Result, Subscription,
    Topic, TransactionOptions, TransactionalPublisher, async_trait,
};

use super::Recorder;
use super::consumer::{Counted, RecordedConsumer};
use super::publisher::RecordedPublisher;
use super::transactions::RecordedTransactions;

#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) broker: Broker,
    pub(super) recorder: Arc<Recorder>,
    pub(super) counted: Counted,
}

#[async_trait]
impl Backend for Recorded {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        let publisher = self.broker.publisher(options).await?;
        Ok(Arc::new(RecordedPublisher::new(publisher, self.recorder.clone())))
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        let recorder = self.recorder.clone();
        Ok(Box::new(RecordedConsumer::open(&self.broker, subscription, recorder, self.counted).await?))
    }

    async fn transactional_publisher(
        &self,
        options: TransactionOptions,
    ) -> Result<Box<dyn TransactionalPublisher>> {
        let publisher = self.broker.transactional_publisher(options).await?;
        Ok(Box::new(RecordedTransactions::new(publisher, self.recorder.clone())))
    }

    async fn guarantees(&self, topic: Option<&Topic>, group: Option<&Group>) -> Result<Guarantees> {
        self.broker.guarantees(topic, group).await
    }

    fn system(&self) -> Option<&'static str> {
        self.broker.system()
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
