//! Where receiving, handling and settling meet: what waits for a handler, and what waits to be settled.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::{Error, Key, Kind, Reason, Settler, Topic, Verdict};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::delays::Delays;
use super::lanes::{Lanes, Task};
use super::parking;
use super::settling::{Acks, Verdicts, acknowledge_at_once};
use super::transactions::{Done, Work};
use crate::failure::{BoxError, Failure};
use crate::handling::{Handling, Hopeless};
use crate::observe::{Happening, Observer, Outcome, Wants};
use crate::outputs::Output;
use crate::retry::Decision;
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

    /// Takes messages in.
    pub(super) fn push(&self, tasks: impl IntoIterator<Item = Task>) {
        let mut lanes = self.lanes();
        lanes.push(tasks);
        self.wake(lanes);
    }

    /// Wakes somebody up if a message is ready, unless somebody is on the way: a run of quick handlers wakes few.
    fn wake(&self, mut lanes: MutexGuard<'_, Lanes>) {
        let wakes = lanes.wakes();
        drop(lanes);
        if wakes {
            self.work.notify_one();
        }
    }

    async fn woken(&self) {
        self.work.notified().await;
        self.lanes().looks();
    }

    /// The next message that is worth beginning with; none once the desk is closed.
    ///
    /// # Cancel safety
    /// Cancel safe: a message leaves only when it is returned.
    pub(super) async fn next(&self) -> Option<Task> {
        loop {
            if self.is_closed() {
                // The wake-up is passed on: others wait for it too.
                self.work.notify_one();
                return None;
            }
            match self.try_next() {
                Some(task) => return Some(task),
                None => self.woken().await,
            }
        }
    }

    /// The next messages that are worth beginning with, up to `most` of them for one handler; says whether the desk is open.
    ///
    /// # Cancel safety
    /// Cancel safe: messages leave only when it returns.
    pub(super) async fn next_portion(&self, most: usize, into: &mut VecDeque<Task>) -> bool {
        while !self.is_closed() {
            self.take_portion(most, into);
            if !into.is_empty() {
                return true;
            }
            self.woken().await;
        }
        // The wake-up is passed on, as in `next`.
        self.work.notify_one();
        false
    }

    fn take_portion(&self, most: usize, into: &mut VecDeque<Task>) {
        let mut lanes = self.lanes();
        lanes.take_portion(most, into);
        self.wake(lanes);
        self.keep_current(into);
    }

    /// Takes back what one handler has not begun with, for the others.
    pub(super) fn put_back(&self, rest: &mut VecDeque<Task>) {
        let mut lanes = self.lanes();
        if self.is_closed() {
            drop(lanes);
            return rest.clear();
        }
        rest.drain(..).rev().for_each(|task| lanes.put_back(task));
        self.wake(lanes);
    }

    /// Waits until something may have come in; others who wait may hear of it instead. Says whether the desk is open.
    pub(super) async fn changed(&self) -> bool {
        self.woken().await;
        let open = !self.is_closed();
        if !open {
            // The wake-up is passed on, as in `next`.
            self.work.notify_one();
        }
        open
    }

    /// Wakes somebody up if a message is ready.
    pub(super) fn pass_on(&self) {
        self.wake(self.lanes());
    }

    /// The next message that is worth beginning with, if there is one now.
    pub(super) fn try_next(&self) -> Option<Task> {
        loop {
            let mut lanes = self.lanes();
            let task = lanes.take()?;
            self.wake(lanes);
            match self.current(task) {
                Some(task) => return Some(task),
                None => continue,
            }
        }
    }

    /// What waits directly behind a message of this key that is in work, if it is worth beginning with.
    pub(super) fn try_behind(&self, key: &[u8]) -> Option<Task> {
        let task = self.lanes().take_behind(key)?;
        self.current(task)
    }

    fn current(&self, task: Task) -> Option<Task> {
        if self.settler.is_current(task.delivery.token()) {
            return Some(task);
        }
        self.void(task);
        None
    }

    fn keep_current(&self, tasks: &mut VecDeque<Task>) {
        let tokens: Vec<_> = tasks.iter().map(|task| task.delivery.token()).collect();
        let current = self.settler.are_current(&tokens);
        if current.iter().all(|current| *current) {
            return;
        }
        for (task, current) in std::mem::take(tasks).into_iter().zip(current) {
            match current {
                true => tasks.push_back(task),
                false => self.void(task),
            }
        }
    }

    fn void(&self, task: Task) {
        let key = task.delivery.to_key();
        // Released before the next one of its key begins.
        drop(task.delivery);
        self.release(key.as_ref().map(Key::as_bytes));
        self.observe(&Happening::Void);
    }

    /// The work on a message of this key has ended.
    pub(super) fn release(&self, key: Option<&[u8]>) {
        let Some(key) = key else { return };
        let mut lanes = self.lanes();
        lanes.done(key);
        self.wake(lanes);
    }

    /// Whether success means nothing but an acknowledgement, so that many can be dealt with together.
    pub(super) fn is_plain(&self) -> bool {
        self.handling.parking.is_none() && self.done.is_none()
    }

    /// Messages have been handled, and nothing is left to do but to acknowledge them.
    pub(super) fn acknowledge_all(self: &Arc<Self>, acks: &mut Acks) {
        let keys = acks.keys();
        acknowledge_at_once(self, acks);
        // Not before: the next ones of these keys would overtake them.
        let mut lanes = self.lanes();
        keys.iter().for_each(|key| lanes.done(key.as_bytes()));
        self.wake(lanes);
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

    /// Decides what becomes of a message whose handler has ended. `later` takes out what was handled together with it and
    /// comes after it in its key: if it comes again, they are void.
    pub(super) fn finish(
        self: &Arc<Self>,
        task: Task,
        result: Result<(), Failure>,
        later: impl FnOnce(Option<&[u8]>) -> Vec<Task>,
    ) {
        let failure = match result {
            Ok(()) => return self.acknowledge(task, Outcome::Acknowledged),
            Err(failure) => failure,
        };
        let decision = self.handling.retry.decide(&failure, &task.delivery, task.attempt(), spread(&task));
        match decision {
            Decision::Again(delay) if self.handling.retry.in_order => {
                tracing::debug!(error = %failure, attempt = task.attempt(), ?delay, "a handler failed; the message comes again");
                let later = later(task.key());
                self.verdicts.push_with(task, Verdict::Nack { delay }, Outcome::Retried, later);
            }
            Decision::Again(delay) => {
                tracing::debug!(error = %failure, attempt = task.attempt(), ?delay, "a handler failed; the message waits aside");
                self.observe(&Happening::Waits(&task.delivery));
                let key = task.delivery.to_key();
                self.delays.push(Instant::now() + delay, Task { failed_here: task.failed_here + 1, ..task });
                self.release(key.as_ref().map(Key::as_bytes));
            }
            Decision::GiveUp => self.give_up(task, &failure),
            Decision::End => self.end(task, failure.into_source()),
        }
    }

    /// A message that no attempt can help.
    pub(super) fn give_up(self: &Arc<Self>, task: Task, failure: &Failure) {
        let attempt = task.attempt();
        tracing::warn!(error = %failure, class = failure.class().as_str(), attempt, "a message is hopeless");
        match (&self.dead_letters, self.handling.hopeless) {
            (Some(_), _) => {
                self.dead_letter(task, failure.reason(), Outcome::DeadLettered);
            }
            (None, Hopeless::Discard) => self.acknowledge(task, Outcome::Discarded),
            (None, Hopeless::Stop) => {
                let text = format!(
                    "a message is hopeless ({failure}), and there is no dead letter topic for it; it was handed back"
                );
                self.end(task, text.into());
            }
        }
    }

    /// Its key goes on when it is there, or certain to be where its acknowledgement is.
    pub(super) fn dead_letter(&self, task: Task, reason: Reason, outcome: Outcome) {
        match &self.done {
            Some(done) => done.push(Work::dead_letter(task, reason, outcome)),
            None => self.verdicts.push(task, Verdict::DeadLetter { reason }, outcome),
        }
    }

    fn acknowledge(self: &Arc<Self>, task: Task, outcome: Outcome) {
        if let Some(done) = &self.done {
            let goes_on = if task.parked { None } else { task.delivery.to_key() };
            done.push(Work::done(task, outcome));
            return self.release(goes_on.as_ref().map(Key::as_bytes));
        }
        if task.parked {
            // Its key goes on when it has left the parked ones.
            return self.verdicts.push(task, Verdict::Ack, outcome);
        }
        self.acknowledge_all(&mut Acks::of(task.delivery, outcome));
    }

    /// All of a batch is done, and what was published belongs to all of it.
    pub(super) fn acknowledge_together(&self, batch: Vec<Task>, outputs: Vec<Output>) {
        let Some(done) = &self.done else { return };
        let goes_on: Vec<_> =
            batch.iter().filter(|task| !task.parked).map(|task| task.delivery.to_key()).collect();
        done.push(Work::together(batch, outputs));
        goes_on.iter().for_each(|key| self.release(key.as_ref().map(Key::as_bytes)));
    }

    /// The worker cannot go on; the message is handed back.
    fn end(&self, task: Task, source: BoxError) {
        let error = Error::new(Kind::Unexpected, "handle", format!("the worker cannot go on: {source}"));
        let error = error.on(format!("topic `{}`, group `{}`", self.settler.topic(), self.settler.group()));
        self.raise(error.with_source(source));
        drop(task);
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

/// Below 1: spreads the attempts of different messages, and is the same when a run is replayed.
fn spread(task: &Task) -> f64 {
    let mut hasher = DefaultHasher::new();
    (task.delivery.id(), task.attempt()).hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}
