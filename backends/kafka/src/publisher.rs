//! Publishing to a topic: a window, checks, held keys, and a producer that is shared with other publishers.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anybroker_core::kit::{Confirmations, Intake, Pending, Permit};
use anybroker_core::{Error, Fate, Key, Message, Publisher, PublisherOptions, Requirements, Result, Topic};
use async_trait::async_trait;
use rdkafka::producer::Producer as _;

use crate::blocking::Owned;
use crate::producer::{Producer, send};
use crate::producers::Producers;
use crate::raw::remind;
use crate::record;
use crate::supervise::Supervised;

/// The publisher of one topic.
pub(crate) struct KafkaPublisher {
    intake: Intake,
    requirements: Requirements,
    producer: Arc<Producer>,
    producers: Arc<Producers>,
    given_back: AtomicBool,
    failed: OnceLock<Error>,
    max_message_bytes: usize,
}

impl KafkaPublisher {
    /// Opens a publisher to a topic that takes record batches of up to `max_message_bytes`.
    ///
    /// # Errors
    /// `InvalidConfiguration` if librdkafka does not take a setting.
    pub(crate) fn open(
        producers: Arc<Producers>,
        options: &PublisherOptions,
        max_message_bytes: usize,
    ) -> Result<Arc<Self>> {
        Ok(Arc::new(KafkaPublisher {
            intake: Intake::new(options, record::largest(max_message_bytes)),
            requirements: options.requirements.clone(),
            producer: producers.take(max_message_bytes)?,
            producers,
            given_back: AtomicBool::new(false),
            failed: OnceLock::new(),
            max_message_bytes,
        }))
    }

    fn failed(&self) -> Option<Error> {
        self.failed.get().map(Error::duplicate).or_else(|| self.producer.failed())
    }

    fn refuse(&self, pending: &Pending) -> Option<Error> {
        if let Some(error) = self.failed() {
            return Some(error);
        }
        if let Some(error) = pending.refusal() {
            return Some(error);
        }
        record::refusal(pending.message()?, self.max_message_bytes)
    }

    /// Once; the thread to wait for, if nobody else publishes by it.
    fn give_back(&self, waited: bool) -> Option<Owned> {
        if self.given_back.swap(true, Ordering::AcqRel) {
            return None;
        }
        self.producers.give_back(&self.producer, waited)
    }
}

#[async_trait]
impl Publisher for KafkaPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        if let Some(error) = self.failed() {
            return Err(error);
        }
        self.intake.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let (pending, confirmations) = self.intake.accept(permit, batch);
        let session = self.producer.session();
        for pending in pending {
            match self.refuse(&pending) {
                Some(error) => pending.fail(error.with_fate(Fate::NotApplied)),
                None => send(&session, self.intake.topic(), pending),
            }
        }
        confirmations
    }

    async fn flush(&self) -> Result<()> {
        self.intake.idle(self.producers.patience()).await
    }

    fn resume(&self, key: &Key) {
        self.intake.resume(key);
    }

    fn topic(&self) -> &Topic {
        self.intake.topic()
    }

    async fn close(&self) -> Result<()> {
        self.intake.close();
        let flushed = self.intake.idle(self.producers.close_timeout()).await;
        if let Some(thread) = self.give_back(flushed.is_err()) {
            thread.join(self.producers.close_timeout(), "publish: close").await?;
        }
        flushed
    }
}

impl Supervised for KafkaPublisher {
    fn take_disturbed(&self) -> bool {
        self.producer.take_disturbed()
    }

    fn topic(&self) -> &Topic {
        self.intake.topic()
    }

    fn requirements(&self) -> &Requirements {
        &self.requirements
    }

    fn fail(&self, error: Error) {
        let _ = self.failed.set(error);
    }

    fn remind(&self) {
        let session = self.producer.session();
        let (observer, brokers) = (&session.context().observer, self.producers.brokers());
        remind(session.client(), observer, self.intake.topic(), brokers);
    }
}

impl Drop for KafkaPublisher {
    fn drop(&mut self) {
        // The thread of the producer's last publisher flushes what is on its way, within the deadline of closing, and ends by itself.
        self.intake.close();
        self.give_back(false);
    }
}

impl fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaPublisher").field("topic", self.intake.topic()).finish_non_exhaustive()
    }
}
