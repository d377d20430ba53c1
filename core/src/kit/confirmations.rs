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
use crate::publisher::{Outcome, Receipt};

/// The outcomes of an enqueued batch: a future of one [`Outcome`] a message, in order.
///
/// # Cancel safety
/// Dropping it neither stops the messages nor frees their room in the window before they are confirmed.
pub struct Confirmations(State);

enum State {
    /// Until they have been taken.
    Known(Option<Vec<Outcome>>),
    Waiting(Arc<Batch>),
}

type Observer = Box<dyn FnOnce(&[Outcome]) + Send>;

impl Confirmations {
    /// Of a batch that was answered at once.
    pub(super) fn known(outcomes: Vec<Outcome>) -> Self {
        Confirmations(State::Known(Some(outcomes)))
    }

    /// Calls `observer` with the outcomes as soon as the last one is there, also if nobody awaits them: for wrappers that
    /// measure or record.
    pub fn inspect(self, observer: impl FnOnce(&[Outcome]) + Send + 'static) -> Self {
        match &self.0 {
            State::Known(Some(outcomes)) => observer(outcomes),
            State::Known(None) => {}
            State::Waiting(batch) => batch.inspect(observer),
        }
        self
    }
}

impl Future for Confirmations {
    type Output = Vec<Outcome>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<Outcome>> {
        let outcomes = match &mut self.0 {
            State::Known(outcomes) => outcomes.take(),
            State::Waiting(batch) => {
                batch.waker.register(cx.waker());
                batch.progress().outcomes.take()
            }
        };
        outcomes.map_or(Poll::Pending, Poll::Ready)
    }
}

impl fmt::Debug for Confirmations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = match &self.0 {
            State::Known(_) => 0,
            State::Waiting(batch) => batch.progress().left,
        };
        f.debug_struct("Confirmations").field("left", &left).finish()
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
        // All of them are there. In the same memory, which `flatten` would not be.
        let outcomes: Vec<_> = std::mem::take(&mut self.slots).into_iter().map_while(|it| it).collect();
        self.observers.drain(..).for_each(|observer| observer(&outcomes));
        self.outcomes = Some(outcomes);
        self.permit = None;
    }
}

impl Batch {
    fn inspect(&self, observer: impl FnOnce(&[Outcome]) + Send + 'static) {
        let mut progress = self.progress();
        match &progress.outcomes {
            Some(outcomes) => observer(outcomes),
            None => progress.observers.push(Box::new(observer)),
        }
    }

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

/// The messages of a batch, in place until the last of them has an outcome.
struct Messages {
    messages: Vec<Message>,
    /// The number of the first one. They grow with every message that the publisher takes in.
    first: u64,
    batch: Arc<Batch>,
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
    let messages = Arc::new(Messages { messages, first, batch: batch.clone() });
    let pending = (0..count as u32).map(|index| Pending { messages: messages.clone(), index, open: true });
    (pending.collect(), Confirmations(State::Waiting(batch)))
}

/// A message on its way to the broker. Dropped without a word, it ends as unknown. Two words: it is moved at no cost.
pub struct Pending {
    messages: Arc<Messages>,
    index: u32,
    /// It has no outcome yet.
    open: bool,
}

impl Pending {
    /// The message.
    pub fn message(&self) -> Option<&Message> {
        self.messages.messages.get(self.index as usize)
    }

    /// Why it must not be sent any more: an earlier message of its key has failed. Ask right before sending.
    pub fn refusal(&self) -> Option<Error> {
        self.messages.batch.shared.refusal(self.message()?, self.number())
    }

    /// The broker has it.
    pub fn confirm(mut self, receipt: Receipt) {
        self.open = false;
        self.messages.batch.resolve(self.index, Ok(receipt));
    }

    /// It failed: the message goes back to the caller, and its key is held.
    pub fn fail(mut self, error: Error) {
        self.end(error);
    }

    pub(super) fn number(&self) -> u64 {
        self.messages.first + u64::from(self.index)
    }

    fn end(&mut self, error: Error) {
        let open = std::mem::replace(&mut self.open, false);
        let Some(message) = self.message().filter(|_| open) else { return };
        let batch = &self.messages.batch;
        batch.resolve(self.index, Err(batch.shared.failed(message, self.number(), error)));
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.open {
            let text = "the connection ended before the broker confirmed";
            self.end(Error::new(Kind::Disconnected, "publish", text).with_fate(Fate::Unknown));
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("message", &self.message()).finish_non_exhaustive()
    }
}
