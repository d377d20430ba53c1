//! The watched transactional publisher, and its transactions.

use std::sync::atomic::{AtomicUsize, Ordering};

use anybroker_core::{
    Delivery, Fate, Key, Message, Result, Topic, Transaction, TransactionalId, TransactionalPublisher,
    async_trait,
};

use super::{Watch, label};

#[derive(Debug)]
pub(super) struct WatchedTransactions {
    pub(super) publisher: Box<dyn TransactionalPublisher>,
    pub(super) watch: Watch,
}

#[async_trait]
impl TransactionalPublisher for WatchedTransactions {
    async fn begin(&mut self) -> Result<Box<dyn Transaction + '_>> {
        let transaction = self.publisher.begin().await?;
        Ok(Box::new(WatchedTransaction { transaction, watch: &self.watch, parts: AtomicUsize::new(0) }))
    }

    fn id(&self) -> &TransactionalId {
        self.publisher.id()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.publisher.close().await
    }
}

#[derive(Debug)]
struct WatchedTransaction<'a> {
    transaction: Box<dyn Transaction + 'a>,
    watch: &'a Watch,
    /// Messages that are published or acknowledged in it.
    parts: AtomicUsize,
}

#[async_trait]
impl Transaction for WatchedTransaction<'_> {
    async fn publish(&self, topic: &Topic, batch: Vec<Message>) -> Result<()> {
        let Watch { who, journal } = self.watch;
        for message in &batch {
            let number = journal.number(&message.id, &message.payload);
            let label = label(number, &message.payload, message.key.as_ref().map(Key::as_bytes));
            journal.message(who, number, format!("publishes {label} to {topic}, in a transaction"));
        }
        self.parts.fetch_add(batch.len(), Ordering::Relaxed);
        self.transaction.publish(topic, batch).await
    }

    async fn settle(&self, batch: Vec<Delivery>) -> Result<()> {
        let Watch { who, journal } = self.watch;
        for delivery in &batch {
            let number = delivery.id().map_or(0, |id| journal.number(&id, delivery.payload()));
            journal.message(who, number, format!("acknowledges #{number}, in a transaction"));
        }
        self.parts.fetch_add(batch.len(), Ordering::Relaxed);
        self.transaction.settle(batch).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let WatchedTransaction { transaction, watch, parts } = *self;
        let committed = transaction.commit().await;
        let parts = parts.into_inner();
        let told = match &committed {
            Ok(()) => format!("is told that a transaction of {parts} messages is committed"),
            Err(error) if error.fate() == Fate::NotApplied => {
                format!("is told that a transaction of {parts} messages is not committed: {error}")
            }
            Err(_) => {
                format!("gets no answer for a transaction of {parts} messages: it may be committed or not")
            }
        };
        watch.journal.tell(&watch.who, told);
        committed
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let WatchedTransaction { transaction, watch, .. } = *self;
        watch.journal.tell(&watch.who, "aborts a transaction");
        transaction.abort().await
    }
}
