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
use crate::publisher::PublisherOptions;
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
        if let Some(source) = &self.source {
            for message in messages.iter_mut().filter(|m| m.event_type.is_some() && m.source.is_none()) {
                message.source = Some(source.clone());
            }
        }
        let (pending, confirmations) = batch(&self.shared, permit, messages);
        let accepted = pending.into_iter().filter_map(|pending| match self.refusal(&pending) {
            Some(error) => {
                pending.fail(error.with_fate(Fate::NotApplied));
                None
            }
            None => Some(pending),
        });
        (accepted.collect(), confirmations)
    }

    fn refusal(&self, pending: &Pending) -> Option<Error> {
        let message = pending.message()?;
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
        pending.refusal()
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
