//! Publishing: batches go to the thread that writes, in call order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anybroker_core::kit::{Confirmations, Intake, Permit};
use anybroker_core::{Key, Message, Publisher, PublisherOptions, Result, Topic, async_trait};

use crate::append::Append;
use crate::partitioner;
use crate::store::Store;
use crate::topics::TopicState;

#[derive(Debug)]
pub(crate) struct SqlitePublisher {
    intake: Intake,
    store: Arc<Store>,
    topic: Arc<TopicState>,
    /// Where the next message without a key goes.
    turn: AtomicUsize,
}

/// SQLite takes up to 1 GB; this keeps a mistake from taking all memory.
pub(crate) const MESSAGE_BYTES: usize = 64 << 20;
/// How long everything that is under way may take.
const FLUSH: Duration = Duration::from_secs(30);

impl SqlitePublisher {
    pub(crate) fn new(store: Arc<Store>, topic: Arc<TopicState>, options: &PublisherOptions) -> Self {
        SqlitePublisher {
            intake: Intake::new(options, MESSAGE_BYTES),
            store,
            topic,
            turn: AtomicUsize::new(0),
        }
    }

    fn partition(&self, message: &Message) -> usize {
        let partitions = self.topic.partitions.len().max(1);
        match &message.key {
            Some(key) => partitioner::partition(key.as_bytes(), partitions),
            None => self.turn.fetch_add(1, Ordering::Relaxed) % partitions,
        }
    }
}

#[async_trait]
impl Publisher for SqlitePublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.intake.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let (accepted, confirmations) = self.intake.accept(permit, batch);
        if !accepted.is_empty() {
            let append = Append::new(self.topic.clone(), accepted, |message| self.partition(message));
            self.store.submit(Box::new(append));
        }
        confirmations
    }

    async fn flush(&self) -> Result<()> {
        self.intake.idle(FLUSH).await
    }

    fn resume(&self, key: &Key) {
        self.intake.resume(key);
    }

    fn topic(&self) -> &Topic {
        self.intake.topic()
    }

    async fn close(&self) -> Result<()> {
        self.intake.close();
        self.flush().await
    }
}
