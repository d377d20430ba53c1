//! The recorded transactional publisher, and its transactions.

use std::sync::Arc;

use anybroker_core::{
    Delivery, Fate, Message, Result, Topic, Transaction, TransactionalId, TransactionalPublisher, async_trait,
};

use super::Recorder;
use super::consumer::RecordedSettler;
use super::publisher::line;
use crate::history;
use crate::history::{Event, Publish, TransactionEnd, TransactionStep};

#[derive(Debug)]
pub(super) struct RecordedTransactions {
    publisher: Box<dyn TransactionalPublisher>,
    recorder: Arc<Recorder>,
    name: String,
}

impl RecordedTransactions {
    pub(super) fn new(publisher: Box<dyn TransactionalPublisher>, recorder: Arc<Recorder>) -> Self {
        let name = recorder.name("publisher-");
        RecordedTransactions { publisher, recorder, name }
    }
}

#[async_trait]
impl TransactionalPublisher for RecordedTransactions {
    async fn begin(&mut self) -> Result<Box<dyn Transaction + '_>> {
        let transaction = self.publisher.begin().await?;
        let told = Told {
            recorder: self.recorder.clone(),
            name: self.recorder.name("transaction-"),
            publisher: &self.name,
            ended: false,
        };
        told.recorder.record(&Event::Begin(told.step()));
        Ok(Box::new(RecordedTransaction { transaction, told }))
    }

    fn id(&self) -> &TransactionalId {
        self.publisher.id()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.publisher.close().await
    }
}

#[derive(Debug)]
struct RecordedTransaction<'a> {
    // Dropped first: what comes again because of it is then never recorded before its end.
    told: Told<'a>,
    transaction: Box<dyn Transaction + 'a>,
}

/// What is written of a transaction.
#[derive(Debug)]
struct Told<'a> {
    recorder: Arc<Recorder>,
    name: String,
    publisher: &'a str,
    ended: bool,
}

impl Told<'_> {
    fn step(&self) -> TransactionStep<'_> {
        TransactionStep { transaction: self.name.as_str().into(), publisher: self.publisher.into() }
    }

    fn commits(&mut self) {
        self.ended = true;
        self.recorder.record(&Event::Commit(self.step()));
    }

    fn aborts(&mut self) {
        self.ended = true;
        self.recorder.record(&Event::Abort(self.step()));
    }

    fn came_back(&self, result: &Result<()>) {
        let outcome = match result {
            Ok(()) => history::Outcome::Ok,
            Err(error) if error.fate() == Fate::NotApplied => history::Outcome::Failed,
            Err(_) => history::Outcome::Unknown,
        };
        let TransactionStep { transaction, publisher } = self.step();
        self.recorder.record(&Event::TransactionEnd(TransactionEnd { transaction, publisher, outcome }));
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.aborts();
        }
    }
}

#[async_trait]
impl Transaction for RecordedTransaction<'_> {
    async fn publish(&self, topic: &Topic, batch: Vec<Message>) -> Result<()> {
        let Told { recorder, name, publisher, .. } = &self.told;
        let named: Vec<_> = batch
            .iter()
            .map(|message| recorder.copies.publish(message.id.to_string(), topic.as_str()))
            .collect();
        recorder.batch(|write| {
            for (message, named) in batch.iter().zip(&named) {
                let line = line(publisher, topic.as_str(), message, named);
                write(&Event::Publish(Publish { transaction: Some(name.as_str().into()), ..line }));
            }
        });
        self.transaction.publish(topic, batch).await
    }

    async fn settle(&self, batch: Vec<Delivery>) -> Result<()> {
        let unwrapped = |delivery: Delivery| {
            let settler = delivery.settler().cloned();
            let recorded =
                settler.as_ref().and_then(|settler| settler.context()?.downcast_ref::<RecordedSettler>());
            match recorded {
                Some(recorded) => recorded.enlist(delivery, &self.told.name),
                None => delivery,
            }
        };
        self.transaction.settle(batch.into_iter().map(unwrapped).collect()).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let RecordedTransaction { transaction, mut told } = *self;
        told.commits();
        let committed = transaction.commit().await;
        told.came_back(&committed);
        committed
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let RecordedTransaction { transaction, mut told } = *self;
        told.aborts();
        let aborted = transaction.abort().await;
        told.came_back(&aborted);
        aborted
    }
}
