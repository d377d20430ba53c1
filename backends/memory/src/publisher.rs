//! Publishing: appended and confirmed in one step.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anybroker_core::kit::{Confirmations, Intake, Pending, Permit};
use anybroker_core::{
    Key, Message, Publisher, PublisherOptions, Receipt, RecordBuffer, Result, Topic, async_trait,
};
use tokio::task::JoinSet;

use crate::adversary::{Adversary, Fault, publishing};
use crate::setup::Setup;
use crate::store::{Moment, TopicInner, TopicState, lock};

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

    fn store(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let mut appender = self.appender();
        self.intake.answer(permit, batch, |message| appender.take(message))
    }

    /// The adversary does its worst with each of them.
    fn suffer(&self, adversary: &Adversary, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let (accepted, confirmations) = self.intake.accept(permit, batch);
        let mut appender = self.appender();
        for pending in accepted {
            // A failure earlier in this batch may have held the key.
            match pending.refusal() {
                Some(error) => pending.fail(error),
                None => self.publish(&mut appender, adversary, pending),
            }
        }
        confirmations
    }

    fn publish(&self, appender: &mut Appender<'_>, adversary: &Adversary, pending: Pending) {
        let Some(message) = pending.message() else { return };
        match adversary.publish_fault() {
            None => {
                let stored = appender.take(message);
                conclude(pending, stored);
            }
            Some(Fault::Refused) => pending.fail(publishing::refused()),
            Some(Fault::Lost) => pending.fail(publishing::unanswered()),
            Some(Fault::AnswerLost) => {
                let stored = appender.take(message);
                conclude(pending, stored.and_then(|_| Err(publishing::unanswered())));
            }
            Some(Fault::ConfirmedAfter(delay)) => {
                let stored = appender.take(message);
                self.later(delay, || conclude(pending, stored));
            }
        }
    }

    fn appender(&self) -> Appender<'_> {
        Appender {
            buffer: lock(&self.buffer),
            inner: self.topic.lock(),
            topic: &self.topic,
            setup: &self.setup,
            now: Moment::now(),
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

/// What a batch is stored with: the topic's lock and the time, taken once for all of it.
struct Appender<'a> {
    buffer: MutexGuard<'a, RecordBuffer>,
    inner: MutexGuard<'a, TopicInner>,
    topic: &'a TopicState,
    setup: &'a Setup,
    now: Moment,
}

impl Appender<'_> {
    fn take(&mut self, message: &Message) -> Result<Receipt> {
        let record = self.buffer.encode(message);
        self.topic.take(&mut self.inner, self.setup, self.now, &message.id, record)
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
        let confirmations = match self.setup.adversary.as_deref() {
            None => self.store(permit, batch),
            Some(adversary) => self.suffer(adversary, permit, batch),
        };
        self.topic.announce();
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
