//! Publishing: the intake accepts, the log stores, and that is the confirmation.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anybroker_core::kit::{Confirmations, Intake, Permit};
use anybroker_core::{
    Error, Key, Kind, Message, Position, Publisher, PublisherOptions, Receipt, RecordBuffer, Result, Topic,
    async_trait,
};

use crate::shelf::Log;

#[derive(Debug)]
pub(crate) struct ShelfPublisher {
    intake: Intake,
    log: Arc<Log>,
    buffer: Mutex<RecordBuffer>,
}

/// The largest message.
pub(crate) const MESSAGE_BYTES: usize = 1 << 20;

impl ShelfPublisher {
    pub(crate) fn new(options: &PublisherOptions, log: Arc<Log>) -> Self {
        ShelfPublisher { intake: Intake::new(options, MESSAGE_BYTES), log, buffer: Mutex::default() }
    }
}

#[async_trait]
impl Publisher for ShelfPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.intake.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let (accepted, confirmations) = self.intake.accept(permit, batch);
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut log = self.log.lock();
        for pending in accepted {
            // A failure earlier in this batch may have held the key.
            if let Some(error) = pending.refusal() {
                pending.fail(error);
            } else if log.deleted {
                pending.fail(Error::new(Kind::NotFound, "publish", "the topic was deleted"));
            } else if let Some(record) = pending.message().map(|message| buffer.encode(message)) {
                let position = Position { partition: 0, offset: log.records.len() as u64 };
                log.records.push(record);
                pending.confirm(Receipt { position: Some(position), duplicate: false });
            }
        }
        drop(log);
        self.log.changed.notify_waiters();
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
