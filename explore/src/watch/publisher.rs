//! The watched publisher.

use std::sync::Arc;

use anybroker_core::kit::{Confirmations, Permit};
use anybroker_core::{Fate, Key, Message, Outcome, Publisher, Result, Topic, async_trait};

use super::{Watch, label};

#[derive(Debug)]
pub(super) struct WatchedPublisher {
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) watch: Watch,
}

#[async_trait]
impl Publisher for WatchedPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.publisher.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let numbers: Vec<_> =
            batch.iter().map(|message| self.watch.publishes(self.topic(), message)).collect();
        let watch = self.watch.clone();
        self.publisher.enqueue(permit, batch).inspect(move |outcomes| {
            numbers.iter().zip(outcomes).for_each(|(number, outcome)| watch.published(*number, outcome));
        })
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

impl Watch {
    fn publishes(&self, topic: &Topic, message: &Message) -> usize {
        let number = self.journal.number(&message.id, &message.payload);
        let label = label(number, &message.payload, message.key.as_ref().map(Key::as_bytes));
        self.journal.message(&self.who, number, format!("publishes {label} to {topic}"));
        number
    }

    fn published(&self, number: usize, outcome: &Outcome) {
        let Err(error) = outcome else {
            return self.journal.message(&self.who, number, format!("is told that #{number} is stored"));
        };
        let told = match error.error().fate() {
            Fate::NotApplied => format!("is told that #{number} is not stored"),
            _ => format!("gets no answer for #{number}: it may be stored or not"),
        };
        self.journal.unusual(&self.who, number, told);
    }
}
