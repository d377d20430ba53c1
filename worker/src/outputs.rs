//! What a handler publishes where a transaction is to hold it: it waits here until the handler has ended well.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::kit::{Confirmations, Intake, Permit};
use anybroker_core::{
    Error, Fate, Key, Kind, Message, Publisher, PublisherOptions, Receipt, Result, Topic, async_trait,
};

/// A message, and where it is to be published.
pub(crate) type Output = (Topic, Message);

/// What a handler has published, until it ends.
#[derive(Debug)]
pub(crate) struct Outputs(Mutex<Option<Vec<Output>>>);

impl Outputs {
    /// Of a handler that begins.
    pub(crate) fn open() -> Arc<Self> {
        Arc::new(Outputs(Mutex::new(Some(Vec::new()))))
    }

    fn state(&self) -> MutexGuard<'_, Option<Vec<Output>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, topic: &Topic, message: Message) -> Result<()> {
        let Some(outputs) = &mut *self.state() else {
            let error = Error::new(
                Kind::Closed,
                "publish",
                "the handler has ended, and so has its part of the transaction",
            );
            return Err(error.on(format!("topic `{topic}`")).with_fate(Fate::NotApplied).advice(
                "await what a handler publishes in the handler; publish from elsewhere with a publisher of the broker",
            ));
        };
        outputs.push((topic.clone(), message));
        Ok(())
    }

    /// The handler has ended: nothing more can be published.
    pub(crate) fn end(&self) -> Vec<Output> {
        self.state().take().unwrap_or_default()
    }
}

/// Publishes into the transaction that acknowledges the message in work.
#[derive(Debug)]
pub(crate) struct OutputPublisher {
    intake: Intake,
    outputs: Arc<Outputs>,
}

impl OutputPublisher {
    /// To a topic that takes messages of up to so many bytes.
    pub(crate) fn new(topic: &Topic, message_bytes: usize, outputs: Arc<Outputs>) -> Self {
        OutputPublisher { intake: Intake::new(&PublisherOptions::new(topic.clone()), message_bytes), outputs }
    }
}

#[async_trait]
impl Publisher for OutputPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.intake.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let (accepted, confirmations) = self.intake.accept(permit, batch);
        for pending in accepted {
            let Some(message) = pending.message().cloned() else { continue };
            match self.outputs.push(self.topic(), message) {
                Ok(()) => pending.confirm(Receipt::default()),
                Err(error) => pending.fail(error),
            }
        }
        confirmations
    }

    async fn flush(&self) -> Result<()> {
        // All of them have an outcome at once.
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
        Ok(())
    }
}
