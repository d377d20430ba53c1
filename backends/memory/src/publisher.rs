//! Publishing: appended and confirmed in one step.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anybroker_core::kit::{Confirmations, Intake, Permit};
use anybroker_core::{Key, Message, Publisher, PublisherOptions, RecordBuffer, Result, Topic, async_trait};

use crate::store::{TopicState, lock};

#[derive(Debug)]
pub(crate) struct MemoryPublisher {
    intake: Intake,
    topic: Arc<TopicState>,
    buffer: Mutex<RecordBuffer>,
}

/// Memory has no limit of its own; this one keeps a mistake from taking all of it.
pub(crate) const MESSAGE_BYTES: usize = 64 << 20;

impl MemoryPublisher {
    pub(crate) fn new(topic: Arc<TopicState>, options: PublisherOptions) -> Self {
        MemoryPublisher { intake: Intake::new(&options, MESSAGE_BYTES), topic, buffer: Mutex::default() }
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
            let Some(message) = pending.message() else { continue };
            let record = buffer.encode(message);
            match self.topic.append(&mut inner, &message.id, record) {
                Ok(receipt) => pending.confirm(receipt),
                Err(error) => pending.fail(error),
            }
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
