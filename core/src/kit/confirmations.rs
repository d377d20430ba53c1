//! One outcome for each message of a batch, in order, whatever order the broker confirms in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

use super::intake::Shared;
use super::window::Permit;
use crate::error::{Error, Fate, Kind};
use crate::message::Message;
use crate::publisher::{Outcome, PublishError, Receipt};

/// The outcomes of an enqueued batch: a future of one [`Outcome`] a message, in order.
///
/// # Cancel safety
/// Dropping it neither stops the messages nor frees their room in the window before they are confirmed.
pub struct Confirmations {
    batch: Arc<Batch>,
}

type Observer = Box<dyn FnOnce(&[Outcome]) + Send>;

impl Confirmations {
    /// Calls `observer` with the outcomes as soon as the last one is there, also if nobody awaits them: for wrappers that
    /// measure or record.
    pub fn inspect(self, observer: impl FnOnce(&[Outcome]) + Send + 'static) -> Self {
        let mut progress = self.batch.progress();
        match &progress.outcomes {
            Some(outcomes) => observer(outcomes),
            None => progress.observers.push(Box::new(observer)),
        }
        drop(progress);
        self
    }
}

impl Future for Confirmations {
    type Output = Vec<Outcome>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<Outcome>> {
        self.batch.waker.register(cx.waker());
        match self.batch.progress().outcomes.take() {
            Some(outcomes) => Poll::Ready(outcomes),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for Confirmations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmations").field("left", &self.batch.progress().left).finish()
    }
}

struct Batch {
    progress: Mutex<Progress>,
    waker: AtomicWaker,
    shared: Arc<Shared>,
}

struct Progress {
    slots: Vec<Option<Outcome>>,
    left: usize,
    /// All of them, once there are all.
    outcomes: Option<Vec<Outcome>>,
    observers: Vec<Observer>,
    permit: Option<Permit>,
}

impl Progress {
    /// Everything has an outcome: the room in the window is free, and the outcomes can be taken.
    fn finish(&mut self) {
        let outcomes: Vec<_> = self.slots.drain(..).flatten().collect();
        self.observers.drain(..).for_each(|observer| observer(&outcomes));
        self.outcomes = Some(outcomes);
        self.permit = None;
    }
}

impl Batch {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resolve(&self, index: u32, outcome: Outcome) {
        let mut progress = self.progress();
        if let Some(slot) = progress.slots.get_mut(index as usize) {
            *slot = Some(outcome);
        }
        progress.left -= 1;
        let last = progress.left == 0;
        if last {
            progress.finish();
        }
        drop(progress);
        if last {
            self.waker.wake();
        }
        self.shared.done(1);
    }
}

/// Makes a batch of pending messages with their confirmations.
pub(super) fn batch(
    shared: &Arc<Shared>,
    permit: Permit,
    messages: Vec<Message>,
) -> (Vec<Pending>, Confirmations) {
    let count = messages.len();
    let mut progress = Progress {
        slots: std::iter::repeat_with(|| None).take(count).collect(),
        left: count,
        outcomes: None,
        observers: Vec::new(),
        permit: Some(permit),
    };
    if count == 0 {
        progress.finish();
    }
    let batch =
        Arc::new(Batch { progress: Mutex::new(progress), waker: AtomicWaker::new(), shared: shared.clone() });
    shared.began(count);
    let first = shared.held.number(count);
    let pending = messages.into_iter().enumerate().map(|(index, message)| Pending {
        message: Some(message),
        batch: batch.clone(),
        index: index as u32,
        number: first + index as u64,
    });
    (pending.collect(), Confirmations { batch })
}

/// A message on its way to the broker. Dropped without a word, it ends as unknown.
pub struct Pending {
    message: Option<Message>,
    batch: Arc<Batch>,
    index: u32,
    /// Grows with every message that the publisher takes in.
    number: u64,
}

impl Pending {
    /// The message.
    pub fn message(&self) -> Option<&Message> {
        self.message.as_ref()
    }

    /// Why it must not be sent any more: an earlier message of its key has failed. Ask right before sending.
    pub fn refusal(&self) -> Option<Error> {
        self.batch.shared.held.refusal(self.message.as_ref()?.key.as_ref(), self.number)
    }

    /// The broker has it.
    pub fn confirm(mut self, receipt: Receipt) {
        self.message = None;
        self.batch.resolve(self.index, Ok(receipt));
    }

    /// It failed: the message goes back to the caller, and its key is held.
    pub fn fail(mut self, error: Error) {
        self.end(error);
    }

    fn end(&mut self, error: Error) {
        let Some(message) = self.message.take() else { return };
        self.batch.shared.held.hold(message.key.as_ref(), self.number);
        let error = error.on(format!("topic `{}`", self.batch.shared.topic));
        self.batch.resolve(self.index, Err(PublishError::new(error, message)));
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.message.is_some() {
            let text = "the connection ended before the broker confirmed";
            self.end(Error::new(Kind::Disconnected, "publish", text).with_fate(Fate::Unknown));
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("message", &self.message).finish_non_exhaustive()
    }
}
