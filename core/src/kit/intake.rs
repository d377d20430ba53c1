//! The first half of every publisher: window, checks, held keys, confirmations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::confirmations::{Confirmations, Pending, batch};
use super::held_keys::HeldKeys;
use super::window::{Permit, Window};
use crate::error::{Error, Fate, Kind, Result};
use crate::message::{Key, Message};
use crate::publisher::{PublishError, PublisherOptions, Receipt};
use crate::topic::Topic;

/// Takes batches in, refuses what must not be sent, and keeps count of what is on its way.
#[derive(Debug)]
pub struct Intake {
    window: Window,
    shared: Arc<Shared>,
    source: Option<bytestring::ByteString>,
    message_bytes: usize,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) held: HeldKeys,
    pub(super) topic: Topic,
    outstanding: AtomicUsize,
    idle: Notify,
    closed: AtomicBool,
}

impl Shared {
    /// Why a message must not be sent any more: an earlier one of its key has failed.
    pub(super) fn refusal(&self, message: &Message, number: u64) -> Option<Error> {
        self.held.refusal(message.key.as_ref(), number)
    }

    /// A message failed: it goes back to the caller, and its key is held.
    pub(super) fn failed(&self, message: &Message, number: u64, error: Error) -> PublishError {
        self.held.hold(message.key.as_ref(), number);
        PublishError::new(error.on(format!("topic `{}`", self.topic)), message.clone())
    }

    pub(super) fn began(&self, count: usize) {
        self.outstanding.fetch_add(count, Ordering::AcqRel);
    }

    pub(super) fn done(&self, count: usize) {
        if self.outstanding.fetch_sub(count, Ordering::AcqRel) == count {
            self.held.forget_resumed();
            self.idle.notify_waiters();
        }
    }
}

impl Intake {
    /// For a publisher with `options` whose broker takes messages of up to `message_bytes`
    /// (as [`Message::size`] counts them).
    pub fn new(options: &PublisherOptions, message_bytes: usize) -> Self {
        Intake {
            window: Window::new(options.window_messages, options.window_bytes),
            shared: Arc::new(Shared {
                held: HeldKeys::new(options.on_failure),
                topic: options.topic.clone(),
                outstanding: AtomicUsize::new(0),
                idle: Notify::new(),
                closed: AtomicBool::new(false),
            }),
            source: options.source.clone(),
            message_bytes,
        }
    }

    /// [`Publisher::ready`](crate::Publisher::ready).
    ///
    /// # Errors
    /// `Closed`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.window.ready(messages, bytes).await
    }

    /// Takes a batch: what may be sent comes back, in order; the rest has failed already, not applied.
    pub fn accept(&self, permit: Permit, mut messages: Vec<Message>) -> (Vec<Pending>, Confirmations) {
        self.complete(&mut messages);
        let (pending, confirmations) = batch(&self.shared, permit, messages);
        let accepted = pending.into_iter().filter_map(|pending| {
            match pending.message().and_then(|message| self.refusal(message, pending.number())) {
                Some(error) => {
                    pending.fail(error.with_fate(Fate::NotApplied));
                    None
                }
                None => Some(pending),
            }
        });
        (accepted.collect(), confirmations)
    }

    /// Takes a batch for a broker that answers at once: `store` is called with each message that may be sent, in order, and
    /// says what became of it. So nothing is kept of any of them.
    pub fn answer(
        &self,
        permit: Permit,
        mut messages: Vec<Message>,
        mut store: impl FnMut(&Message) -> Result<Receipt>,
    ) -> Confirmations {
        self.complete(&mut messages);
        self.shared.began(messages.len());
        let numbers = self.shared.held.number(messages.len())..;
        let outcomes = numbers.zip(&messages).map(|(number, message)| {
            let stored = match self.refusal(message, number) {
                Some(error) => Err(error.with_fate(Fate::NotApplied)),
                None => store(message),
            };
            stored.map_err(|error| self.shared.failed(message, number, error))
        });
        let confirmations = Confirmations::known(outcomes.collect());
        drop(permit);
        self.shared.done(messages.len());
        confirmations
    }

    /// Names the source of messages that need one and name none.
    fn complete(&self, messages: &mut [Message]) {
        let Some(source) = &self.source else { return };
        for message in messages.iter_mut().filter(|m| m.is_event() && m.source.is_none()) {
            message.source = Some(source.clone());
        }
    }

    fn refusal(&self, message: &Message, number: u64) -> Option<Error> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Some(closed());
        }
        if let Err(error) = message.validate() {
            return Some(error);
        }
        if message.size() > self.message_bytes {
            let text = format!("{} bytes; the broker takes {} at most", message.size(), self.message_bytes);
            let advice = "raise the broker's limit, or keep large payloads elsewhere and send a reference";
            return Some(Error::new(Kind::TooLarge, "publish", text).advice(advice));
        }
        self.shared.refusal(message, number)
    }

    /// Waits for a moment in which nothing is on its way.
    ///
    /// # Errors
    /// `TimedOut` after `deadline`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn idle(&self, deadline: Duration) -> Result<()> {
        let wait = async {
            loop {
                let idle = self.shared.idle.notified();
                if self.shared.outstanding.load(Ordering::Acquire) == 0 {
                    return;
                }
                idle.await;
            }
        };
        tokio::time::timeout(deadline, wait).await.map_err(|_| {
            let left = self.shared.outstanding.load(Ordering::Acquire);
            Error::new(
                Kind::TimedOut,
                "publish: flush",
                format!("{left} messages unconfirmed after {deadline:?}"),
            )
            .on(format!("topic `{}`", self.shared.topic))
        })
    }

    /// [`Publisher::resume`](crate::Publisher::resume).
    pub fn resume(&self, key: &Key) {
        self.shared.held.resume(key);
    }

    /// The topic published to.
    pub fn topic(&self) -> &Topic {
        &self.shared.topic
    }

    /// Refuses everything from now on; returns whether it was open.
    pub fn close(&self) -> bool {
        self.window.close();
        !self.shared.closed.swap(true, Ordering::AcqRel)
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "publish", "the publisher is closed")
}

#[cfg(test)]
mod tests;
