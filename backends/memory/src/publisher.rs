//! Publishing: appended and confirmed in one step.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anybroker_core::kit::{Confirmations, Intake, Pending, Permit};
use anybroker_core::{
    Key, Message, Publisher, PublisherOptions, Receipt, RecordBuffer, Result, Topic, async_trait,
};
use tokio::task::JoinSet;

use crate::adversary::{Adversary, Fault, publishing};
use crate::setup::Setup;
use crate::store::{TopicInner, TopicState, lock};

#[derive(Debug)]
pub(crate) struct MemoryPublisher {
    intake: Intake,
    topic: Arc<TopicState>,
    buffer: Mutex<RecordBuffer>,
    setup: Setup,
    /// What an adversary has put off; it ends with the publisher.
    late: Mutex<JoinSet<()>>,
}

impl MemoryPublisher {
    pub(crate) fn new(topic: Arc<TopicState>, options: PublisherOptions, setup: Setup) -> Self {
        let intake = Intake::new(&options, setup.semantics.message_bytes);
        MemoryPublisher { intake, topic, buffer: Mutex::default(), setup, late: Mutex::default() }
    }

    /// Stores a message, or lets the adversary do its worst with it.
    fn publish(&self, inner: &mut TopicInner, buffer: &mut RecordBuffer, pending: Pending) {
        let Some(message) = pending.message() else { return };
        let (id, record) = (message.id.clone(), buffer.encode(message));
        let fault = self.setup.adversary.as_deref().and_then(Adversary::publish_fault);
        match fault {
            None => conclude(pending, self.topic.take(inner, &self.setup, &id, record)),
            Some(Fault::Refused) => pending.fail(publishing::refused()),
            Some(Fault::Lost) => pending.fail(publishing::unanswered()),
            Some(Fault::AnswerLost) => {
                let stored = self.topic.take(inner, &self.setup, &id, record);
                conclude(pending, stored.and_then(|_| Err(publishing::unanswered())));
            }
            Some(Fault::ConfirmedAfter(delay)) => {
                let stored = self.topic.take(inner, &self.setup, &id, record);
                self.later(delay, || conclude(pending, stored));
            }
        }
    }

    fn later(&self, delay: Duration, what: impl FnOnce() + Send + 'static) {
        let mut late = lock(&self.late);
        while late.try_join_next().is_some() {}
        late.spawn(async move {
            tokio::time::sleep(delay).await;
            what();
        });
    }
}

fn conclude(pending: Pending, stored: Result<Receipt>) {
    match stored {
        Ok(receipt) => pending.confirm(receipt),
        Err(error) => pending.fail(error),
    }
}

#[async_trait]
impl Publisher for MemoryPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.intake.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let (accepted, confirmations) = self.intake.accept(permit, batch);
        let mut buffer = lock(&self.buffer);
        let mut inner = self.topic.lock();
        for pending in accepted {
            // A failure earlier in this batch may have held the key.
            if let Some(error) = pending.refusal() {
                pending.fail(error);
                continue;
            }
            self.publish(&mut inner, &mut buffer, pending);
        }
        drop(inner);
        self.topic.changed.notify_waiters();
        confirmations
    }

    async fn flush(&self) -> Result<()> {
        self.intake.idle(Duration::from_secs(1)).await
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
