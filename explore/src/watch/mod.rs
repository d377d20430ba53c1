//! A broker whose users are watched: everything that they do is written into the journal.

mod consumer;
mod publisher;
mod transactions;

use std::any::Any;
use std::sync::Arc;

use anybroker_core::{
    Admin, Backend, Broker, Consumer, Group, Guarantees, Publisher, PublisherOptions, Result, Subscription,
    Topic, TransactionOptions, TransactionalPublisher, async_trait,
};

use crate::journal::Journal;
use consumer::WatchedConsumer;
use publisher::WatchedPublisher;
use transactions::WatchedTransactions;

#[derive(Debug)]
pub(crate) struct Watched {
    broker: Broker,
    watch: Watch,
}

/// Who is watched, and where it is written.
#[derive(Clone, Debug)]
struct Watch {
    who: Arc<str>,
    journal: Journal,
}

impl Watched {
    pub(crate) fn new(broker: Broker, who: &str, journal: Journal) -> Self {
        Watched { broker, watch: Watch { who: who.into(), journal } }
    }
}

/// A message for people: what it says, if it can be read, and its key.
fn label(number: usize, payload: &[u8], key: Option<&[u8]>) -> String {
    let words = std::str::from_utf8(payload).ok().filter(|text| text.chars().count() <= 60);
    let words = words.map_or(format!("{} bytes", payload.len()), |text| format!("\"{text}\""));
    let key = key.map(|key| format!(", key {}", String::from_utf8_lossy(key))).unwrap_or_default();
    format!("#{number} ({words}{key})")
}

#[async_trait]
impl Backend for Watched {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        let publisher = self.broker.publisher(options).await?;
        Ok(Arc::new(WatchedPublisher { publisher, watch: self.watch.clone() }))
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        let group = subscription.group.clone();
        match self.broker.consumer(subscription).await {
            Ok(consumer) => {
                self.watch.journal.tell(&self.watch.who, format!("joins group {group}"));
                Ok(Box::new(WatchedConsumer::new(consumer, self.watch.clone())))
            }
            Err(error) => {
                self.watch.journal.tell(&self.watch.who, format!("cannot join group {group}: {error}"));
                Err(error)
            }
        }
    }

    async fn transactional_publisher(
        &self,
        options: TransactionOptions,
    ) -> Result<Box<dyn TransactionalPublisher>> {
        let publisher = self.broker.transactional_publisher(options).await?;
        Ok(Box::new(WatchedTransactions { publisher, watch: self.watch.clone() }))
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
