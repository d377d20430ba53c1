//! One outcome for each message of a batch, in order, whatever order the broker confirms in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    observer: Option<Observer>,
}

type Observer = Box<dyn FnOnce(&[Outcome]) + Send>;

impl Confirmations {
    /// Calls `observer` with the outcomes once they are there, before whoever awaits gets them: for wrappers that
    /// measure or record.
    pub fn inspect(mut self, observer: impl FnOnce(&[Outcome]) + Send + 'static) -> Self {
        self.observer = Some(match self.observer.take() {
            None => Box::new(observer),
            Some(first) => Box::new(move |outcomes: &[Outcome]| {
                first(outcomes);
                observer(outcomes);
            }),
        });
        self
    }
}

impl Future for Confirmations {
    type Output = Vec<Outcome>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<Outcome>> {
        self.batch.waker.register(cx.waker());
        if self.batch.left.load(Ordering::Acquire) > 0 {
            return Poll::Pending;
        }
        let slots = std::mem::take(&mut *self.batch.slots());
        let outcomes: Vec<_> = slots.into_iter().flatten().collect();
        if let Some(observer) = self.observer.take() {
            observer(&outcomes);
        }
        Poll::Ready(outcomes)
    }
}

impl fmt::Debug for Confirmations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmations").field("left", &self.batch.left).finish()
    }
}

struct Batch {
    slots: Mutex<Vec<Option<Outcome>>>,
    left: AtomicUsize,
    waker: AtomicWaker,
    permit: Mutex<Option<Permit>>,
    shared: Arc<Shared>,
}

impl Batch {
    fn slots(&self) -> std::sync::MutexGuard<'_, Vec<Option<Outcome>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resolve(&self, index: u32, outcome: Outcome) {
        if let Some(slot) = self.slots().get_mut(index as usize) {
            *slot = Some(outcome);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
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
    let batch = Arc::new(Batch {
        slots: Mutex::new(std::iter::repeat_with(|| None).take(count).collect()),
        left: AtomicUsize::new(count),
        waker: AtomicWaker::new(),
        permit: Mutex::new((count > 0).then_some(permit)),
        shared: shared.clone(),
    });
    shared.began(count);
    let pending = messages.into_iter().enumerate().map(|(index, message)| Pending {
        message: Some(message),
        batch: batch.clone(),
        index: index as u32,
    });
    (pending.collect(), Confirmations { batch, observer: None })
}

/// A message on its way to the broker. Dropped without a word, it ends as unknown.
pub struct Pending {
    message: Option<Message>,
    batch: Arc<Batch>,
    index: u32,
}

impl Pending {
    /// The message.
    pub fn message(&self) -> Option<&Message> {
        self.message.as_ref()
    }

    /// Why it must not be sent any more: an earlier message of its key has failed. Ask right before sending.
    pub fn refusal(&self) -> Option<Error> {
        self.batch.shared.held.refusal(self.message.as_ref()?.key.as_ref())
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
        self.batch.shared.held.hold(message.key.as_ref());
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
