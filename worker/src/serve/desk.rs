//! Where receiving, handling and settling meet: what waits for a handler, and what waits to be settled.

mod outcomes;
mod taking;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::{Error, Settler, Topic};
use tokio::sync::Notify;

use super::delays::Delays;
use super::lanes::{Lanes, Task};
use super::parking;
use super::settling::Verdicts;
use super::transactions::Done;
use crate::failure::Failure;
use crate::handling::Handling;
use crate::observe::{Happening, Observer, Wants};
use crate::telemetry::{Operation, Spans};

/// The error that ends the worker.
#[derive(Default)]
struct Fatal {
    error: Mutex<Option<Error>>,
    raised: Notify,
}

/// The shared state of one subscription.
pub(super) struct Desk {
    pub(super) handling: Handling,
    pub(super) settler: Arc<dyn Settler>,
    /// Where hopeless messages go, if anywhere.
    pub(super) dead_letters: Option<Topic>,
    pub(super) verdicts: Verdicts,
    /// What is to be committed in transactions, if messages are handled exactly once.
    pub(super) done: Option<Done>,
    pub(super) delays: Delays,
    fatal: Fatal,
    in_doubt: AtomicBool,
    observers: Arc<[Arc<dyn Observer>]>,
    pub(super) spans: Spans,
    lanes: Mutex<Lanes>,
    work: Notify,
    /// Looked at for every message.
    is_closed: AtomicBool,
    closing: Notify,
}

impl Desk {
    pub(super) fn new(
        handling: Handling,
        settler: Arc<dyn Settler>,
        dead_letters: Option<Topic>,
        observers: Arc<[Arc<dyn Observer>]>,
        spans: Spans,
    ) -> Self {
        Desk {
            done: handling.exactly_once.is_some().then(Done::default),
            handling,
            settler,
            dead_letters,
            verdicts: Verdicts::default(),
            delays: Delays::default(),
            fatal: Fatal::default(),
            in_doubt: AtomicBool::new(false),
            observers,
            spans,
            lanes: Mutex::default(),
            work: Notify::new(),
            is_closed: AtomicBool::new(false),
            closing: Notify::new(),
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a message is not simply let through to its handler: [`admit`](Self::admit) decides then.
    pub(super) fn is_doubtful(&self, task: &Task) -> bool {
        self.handling.parking.is_some() || self.handling.retry.is_over(task.delivery.attempt())
    }

    /// Lets a message through to its handler, unless it was delivered too often without its handler having come to an end,
    /// or is to be parked. None also if the desk was closed meanwhile.
    pub(super) async fn admit(self: &Arc<Self>, task: Task) -> Option<Task> {
        let deliveries = task.delivery.attempt();
        if self.handling.retry.is_over(deliveries) {
            let text =
                format!("{} deliveries did not come to an end: the process died, or lost it", deliveries - 1);
            self.give_up(task, &Failure::retryable(text));
            return None;
        }
        match self.handling.parking {
            Some(_) => parking::admit(self, task).await,
            None => Some(task),
        }
    }

    /// A handler begins.
    pub(super) fn begins(&self, task: &Task) {
        if self.is_observed() {
            self.observe(&Happening::Begins(&task.delivery));
        }
    }

    /// A handler has ended.
    pub(super) fn ended(&self, task: &Task, result: &Result<(), Failure>, took: Duration) {
        let result = result.as_ref().copied();
        self.observe(&Happening::Ended { delivery: &task.delivery, result, took });
    }

    /// Ends the worker with this error, unless there is one already.
    pub(super) fn raise(&self, error: Error) {
        let mut raised = self.fatal.error.lock().unwrap_or_else(PoisonError::into_inner);
        raised.get_or_insert(error);
        drop(raised);
        self.fatal.raised.notify_one();
    }

    /// Nobody knows whether the last transaction was committed.
    pub(super) fn doubt(&self) {
        self.in_doubt.store(true, Ordering::Release);
    }

    /// Whether nobody knows that. Then it helps to open the publisher and the consumer again.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.in_doubt.load(Ordering::Acquire)
    }

    /// Waits for the error that ends the worker.
    pub(super) async fn fatal(&self) -> Error {
        loop {
            if let Some(error) = self.fatal.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return error;
            }
            self.fatal.raised.notified().await;
        }
    }

    /// Nothing more begins; what waits is handed back, in order.
    pub(super) fn close(&self) -> usize {
        self.is_closed.store(true, Ordering::Release);
        self.closing.notify_waiters();
        let waiting = self.lanes().clear();
        self.work.notify_one();
        waiting.len() + self.delays.clear()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Waits until nothing more is to begin.
    pub(super) async fn closed(&self) {
        let mut closing = std::pin::pin!(self.closing.notified());
        closing.as_mut().enable();
        if !self.is_closed() {
            closing.await;
        }
    }

    /// Tells the observers.
    pub(super) fn observe(&self, happening: &Happening<'_>) {
        for observer in &*self.observers {
            observer.observe(self.settler.topic(), self.settler.group(), happening);
        }
    }

    /// A handler's work on these begins.
    pub(super) fn process(&self, tasks: &[Task]) -> Operation {
        let attempt = tasks.first().map_or(1, Task::attempt);
        self.spans.process(&*self.settler, tasks.iter().map(|task| &task.delivery), attempt)
    }

    /// What the observers want to hear besides.
    pub(super) fn wants(&self) -> Wants {
        Wants::of(&self.observers)
    }

    /// Whether anybody watches.
    pub(super) fn is_observed(&self) -> bool {
        !self.observers.is_empty()
    }
}
