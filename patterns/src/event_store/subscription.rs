//! Following the events: what there is, and then what comes.

use std::fmt;
use std::sync::Arc;

use anybroker_core::Result;
use futures::Stream;
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::reader::{Reader, Reading};
use super::{EventStore, Filter, Recorded, Store};

/// All events after a position, in order; first those that are stored, then those to come. It holds one batch, and reads
/// when it is asked.
///
/// Keep [`Subscription::position`] with what you made of the events, in one transaction, and subscribe from there.
pub struct Subscription<D: Store> {
    state: State<D>,
    waker: Waker,
    position: u64,
    caught_up: bool,
    waiting: bool,
}

/// A reading that was cancelled goes on with the next call: it costs a caller that cancels often no progress.
enum State<D: Store> {
    Idle(Box<Reader<D>>),
    Busy(BoxFuture<'static, (Box<Reader<D>>, Result<Reading>)>),
}

/// Owns the task that listens.
#[derive(Debug)]
struct Waker {
    wake: Arc<Notify>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Waker {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl<D: Store> EventStore<D> {
    /// Follows all events after a position; 0 is the beginning. On PostgreSQL it listens with a connection of its own,
    /// unless the store does not notify.
    pub fn subscribe(&self, after: u64) -> Subscription<D> {
        self.subscribe_to(Filter::all(), after)
    }

    /// Follows the events that a filter lets pass.
    pub fn subscribe_to(&self, filter: Filter, after: u64) -> Subscription<D> {
        let wake = Arc::new(Notify::new());
        let task = if self.notify { self.database.listen(wake.clone()) } else { None };
        Subscription {
            state: State::Idle(Box::new(Reader::new(self.clone(), filter, after))),
            waker: Waker { wake, task },
            position: after,
            caught_up: false,
            waiting: false,
        }
    }
}

impl<D: Store> Subscription<D> {
    /// How many events to read at a time, 500 unless set.
    pub fn with_batch(mut self, batch: usize) -> Self {
        if let State::Idle(reader) = &mut self.state {
            reader.batch = batch.max(1);
        }
        self
    }

    /// Where to subscribe again to go on after what was handed out: the last event's position, or later if a filter left
    /// out what follows.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the last reading found nothing more: what comes is new.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// Whether it waits for a transaction that may fill a gap before what comes next.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// The next events, at least one; waits for them.
    ///
    /// # Errors
    /// `Decode` for an event that is damaged or that the upcasters cannot read: everything before it was handed out, and
    /// every further call ends there, until it is readable. `Disconnected`, `TimedOut`: call again.
    ///
    /// # Cancel safety
    /// Cancel safe: what is not returned comes with the next call.
    pub async fn next_batch(&mut self) -> Result<Vec<Recorded>> {
        loop {
            let reading = self.read().await?;
            if !reading.events.is_empty() {
                return Ok(reading.events);
            }
            let _ = tokio::time::timeout(reading.pause, self.waker.wake.notified()).await;
        }
    }

    async fn read(&mut self) -> Result<Reading> {
        futures::future::poll_fn(|context| {
            loop {
                let (reader, reading) = match &mut self.state {
                    State::Busy(reading) => futures::ready!(reading.as_mut().poll(context)),
                    State::Idle(reader) => {
                        let mut reader = reader.clone();
                        self.state = State::Busy(Box::pin(async move {
                            let reading = reader.read().await;
                            (reader, reading)
                        }));
                        continue;
                    }
                };
                self.position = reader.position();
                self.waiting = reader.is_waiting();
                self.caught_up = reading.as_ref().is_ok_and(|reading| reading.caught_up);
                self.state = State::Idle(reader);
                return std::task::Poll::Ready(reading);
            }
        })
        .await
    }

    /// The events one by one, for ever; after an error it may be asked again.
    pub fn into_stream(self) -> impl Stream<Item = Result<Recorded>> + Send {
        let state = (self, Vec::new().into_iter());
        futures::stream::unfold(state, |(mut subscription, mut ready)| async move {
            loop {
                if let Some(event) = ready.next() {
                    return Some((Ok(event), (subscription, ready)));
                }
                match subscription.next_batch().await {
                    Ok(events) => ready = events.into_iter(),
                    Err(error) => return Some((Err(error), (subscription, ready))),
                }
            }
        })
    }
}

impl<D: Store> fmt::Debug for Subscription<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subscription { position, caught_up, waiting, .. } = self;
        write!(f, "Subscription {{ position: {position}, caught_up: {caught_up}, waiting: {waiting} }}")
    }
}
