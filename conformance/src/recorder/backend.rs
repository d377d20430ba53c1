//! The recorded broker.

use std::any::Any;
use std::sync::Arc;

use anybroker_core::{
    Admin, Backend, Broker, Consumer, Group, Guarantees, Publisher, PublisherOptions, Result, Subscription,
    Topic, async_trait,
};

use super::Recorder;
use super::consumer::RecordedConsumer;
use super::publisher::RecordedPublisher;

#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) broker: Broker,
    pub(super) recorder: Arc<Recorder>,
}

#[async_trait]
impl Backend for Recorded {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        let publisher = self.broker.publisher(options).await?;
        Ok(Arc::new(RecordedPublisher::new(publisher, self.recorder.clone())))
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        let recorder = self.recorder.clone();
        Ok(Box::new(RecordedConsumer::open(&self.broker, subscription, recorder).await?))
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
