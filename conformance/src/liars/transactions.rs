//! The lying transactional publisher.

use std::sync::{Arc, Mutex};

use anybroker_core::{
    Broker, Delivery, Message, PublisherExt as _, PublisherOptions, Result, Topic, Transaction,
    TransactionalId, TransactionalPublisher, async_trait,
};

use super::aside::lock;
use super::settler::LyingSettler;
use super::world::World;

/// What is done to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tampering {
    Nothing,
    /// One of its records is stored before the commit, whatever comes of it.
    ShowsOne,
    /// One of its records is stored if it is aborted.
    ShowsOneOfAborted,
    /// One of its records is not stored.
    LeavesOneOut,
    /// Its inputs are done if it is aborted.
    KeepsOffsets,
    /// Its inputs come again if it is committed.
    ForgetsOffsets,
}

#[derive(Debug)]
pub(super) struct LyingTransactions {
    pub(super) publisher: Box<dyn TransactionalPublisher>,
    pub(super) broker: Broker,
    pub(super) world: Arc<World>,
}

#[async_trait]
impl TransactionalPublisher for LyingTransactions {
    async fn begin(&mut self) -> Result<Box<dyn Transaction + '_>> {
        let tampering = self.world.lie.transaction();
        let transaction = self.publisher.begin().await?;
        Ok(Box::new(LyingTransaction {
            transaction,
            broker: &self.broker,
            tampering,
            aside: Mutex::default(),
        }))
    }

    fn id(&self) -> &TransactionalId {
        self.publisher.id()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.publisher.close().await
    }
}

#[derive(Debug)]
struct LyingTransaction<'a> {
    transaction: Box<dyn Transaction + 'a>,
    broker: &'a Broker,
    tampering: Tampering,
    aside: Mutex<Aside>,
}

/// What the broker under it has not heard of.
#[derive(Debug, Default)]
struct Aside {
    record: Option<(Topic, Message)>,
    inputs: Vec<Delivery>,
}

impl LyingTransaction<'_> {
    async fn show(&self, topic: &Topic, message: Message) -> Result<()> {
        let publisher = self.broker.publisher(PublisherOptions::new(topic.clone())).await?;
        publisher.publish(message).await?;
        publisher.close().await
    }
}

#[async_trait]
impl Transaction for LyingTransaction<'_> {
    async fn publish(&self, topic: &Topic, mut batch: Vec<Message>) -> Result<()> {
        match self.tampering {
            Tampering::ShowsOne if !batch.is_empty() => self.show(topic, batch.remove(0)).await?,
            Tampering::LeavesOneOut => _ = batch.pop(),
            Tampering::ShowsOneOfAborted => {
                lock(&self.aside).record = batch.first().map(|message| (topic.clone(), message.clone()));
            }
            _ => {}
        }
        self.transaction.publish(topic, batch).await
    }

    async fn settle(&self, batch: Vec<Delivery>) -> Result<()> {
        let unwrapped = |delivery: Delivery| {
            let settler = delivery.settler().cloned();
            let lying =
                settler.as_ref().and_then(|settler| settler.context()?.downcast_ref::<LyingSettler>());
            match lying {
                Some(lying) => lying.enlist(delivery),
                None => delivery,
            }
        };
        let batch = batch.into_iter().map(unwrapped).collect();
        if matches!(self.tampering, Tampering::KeepsOffsets | Tampering::ForgetsOffsets) {
            lock(&self.aside).inputs.extend::<Vec<_>>(batch);
            return Ok(());
        }
        self.transaction.settle(batch).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let inputs = std::mem::take(&mut lock(&self.aside).inputs);
        if self.tampering == Tampering::KeepsOffsets {
            self.transaction.settle(inputs).await?;
            return self.transaction.commit().await;
        }
        let committed = self.transaction.commit().await;
        // Of a transaction whose offsets it forgets, they come again.
        drop(inputs);
        committed
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let aside = std::mem::take(&mut *lock(&self.aside));
        if let Some((topic, message)) = aside.record {
            self.show(&topic, message).await?;
        }
        for delivery in aside.inputs {
            if self.tampering == Tampering::KeepsOffsets {
                delivery.ack().await?;
            }
        }
        self.transaction.abort().await
    }
}
