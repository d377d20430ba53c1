//! Publishing: one message an entry, each with its receipt, in order on one producer for every partition.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::{Confirmations, Intake, Pending, Permit};
use anybroker_core::{Error, Key, Kind, Message, Publisher, PublisherOptions, Result, Topic, async_trait};
use tokio::sync::{Notify, mpsc};

use crate::sending::{Batch, Sender};

/// The publisher of one topic. An owned task does the sending; it ends with the publisher.
pub(crate) struct PulsarPublisher {
    intake: Intake,
    /// Not bounded itself: every message in it holds room in the intake's window.
    batches: mpsc::UnboundedSender<Batch>,
    abandon: Arc<Notify>,
    deadline: Duration,
}

impl PulsarPublisher {
    pub(crate) fn start(
        options: &PublisherOptions,
        message_bytes: usize,
        deadline: Duration,
        sender: Sender,
    ) -> Self {
        let (batches, receiver) = mpsc::unbounded_channel();
        let abandon = Arc::new(Notify::new());
        // It owns itself until the sender of the batches is dropped, and ends then.
        tokio::spawn(sender.run(receiver, abandon.clone()));
        PulsarPublisher { intake: Intake::new(options, message_bytes), batches, abandon, deadline }
    }
}

#[async_trait]
impl Publisher for PulsarPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.intake.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let (accepted, confirmations) = self.intake.accept(permit, batch);
        if let Err(refused) = self.batches.send(accepted) {
            // The task has ended; nothing has been sent.
            refused.0.into_iter().for_each(|pending| pending.fail(closed()));
        }
        confirmations
    }

    async fn flush(&self) -> Result<()> {
        let result = self.intake.idle(self.deadline).await;
        if result.is_err() {
            // What is on its way ends as unknown, as the contract says.
            self.abandon.notify_one();
        }
        result
    }

    fn resume(&self, key: &Key) {
        self.intake.resume(key);
    }

    fn topic(&self) -> &Topic {
        self.intake.topic()
    }

    async fn close(&self) -> Result<()> {
        if self.intake.close() { self.flush().await } else { Ok(()) }
    }
}

impl fmt::Debug for PulsarPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PulsarPublisher").field("topic", self.intake.topic()).finish_non_exhaustive()
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "publish", "the publisher is closed")
}

/// Fails what has not been sent.
pub(crate) fn refuse(pending: impl IntoIterator<Item = Pending>, error: &Error) {
    for pending in pending {
        pending.fail(error.duplicate().with_fate(anybroker_core::Fate::NotApplied));
    }
}
