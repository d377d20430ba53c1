//! Settles what the handlers have left: acknowledgements in batches, the others each by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::{Delivery, Error, Key, Kind, SettleError, Settled, Settlement, Verdict};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::Notify;

use super::desk::Desk;
use super::lanes::Task;
use super::open::Open;
use super::parking;
use crate::health::Heart;
use crate::observe::{Happening, Loop, Outcome};

/// A message with what is said of it, to be settled by itself.
#[derive(Debug)]
struct Decided {
    task: Task,
    verdict: Verdict,
    outcome: Outcome,
    /// Void once it is settled.
    later: Vec<Task>,
}

/// What waits to be settled.
#[derive(Default)]
pub(super) struct Verdicts {
    queue: Mutex<Queue>,
    /// Not settled yet, including those on their way.
    open: Open,
    arrived: Notify,
}

#[derive(Default)]
struct Queue {
    acks: Acks,
    others: Vec<Decided>,
    /// How many batches of acknowledgements are on their way.
    batches: usize,
    /// Those that a handler's task has begun with, and that wait for the broker.
    begun: Vec<BoxFuture<'static, ()>>,
}

/// Acknowledgements that are settled together, and what each of them came of.
#[derive(Debug, Default)]
pub(super) struct Acks {
    settlements: Vec<Settlement>,
    outcomes: Vec<Outcome>,
}

impl Acks {
    pub(super) fn reserve(&mut self, messages: usize) {
        self.settlements.reserve(messages);
        self.outcomes.reserve(messages);
    }

    pub(super) fn of(delivery: Delivery, outcome: Outcome) -> Self {
        Acks { settlements: vec![Settlement::ack(delivery)], outcomes: vec![outcome] }
    }

    pub(super) fn push(&mut self, delivery: Delivery, outcome: Outcome) {
        self.settlements.push(Settlement::ack(delivery));
        self.outcomes.push(outcome);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.settlements.is_empty()
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.settlements.iter().filter_map(|settlement| settlement.delivery.to_key()).collect()
    }
}

impl Verdicts {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acknowledgements after which nothing is left to do. They come back if they may be settled at once; otherwise they are
    /// settled together with others.
    fn add(&self, acks: &mut Acks) -> Option<Acks> {
        self.open.begin(acks.settlements.len());
        let mut queue = self.queue();
        if queue.batches < BATCHES && queue.acks.is_empty() {
            queue.batches += 1;
            return Some(std::mem::take(acks));
        }
        queue.acks.settlements.append(&mut acks.settlements);
        queue.acks.outcomes.append(&mut acks.outcomes);
        drop(queue);
        self.arrived.notify_one();
        None
    }

    pub(super) fn push(&self, task: Task, verdict: Verdict, outcome: Outcome) {
        self.push_with(task, verdict, outcome, Vec::new());
    }

    /// `later` are dropped, and their key goes on, when the message is settled.
    pub(super) fn push_with(&self, task: Task, verdict: Verdict, outcome: Outcome, later: Vec<Task>) {
        self.open.begin(1);
        self.queue().others.push(Decided { task, verdict, outcome, later });
        self.arrived.notify_one();
    }

    /// Acknowledgements are left where they are while enough of them are on their way.
    fn take(&self) -> Queue {
        let mut queue = self.queue();
        let mut taken = Queue { batches: queue.batches, ..Queue::default() };
        std::mem::swap(&mut queue.others, &mut taken.others);
        std::mem::swap(&mut queue.begun, &mut taken.begun);
        if queue.batches < BATCHES && !queue.acks.is_empty() {
            queue.batches += 1;
            std::mem::swap(&mut queue.acks, &mut taken.acks);
        }
        taken
    }

    fn batch_ended(&self, messages: usize) {
        let mut queue = self.queue();
        queue.batches -= 1;
        let more = !queue.acks.is_empty();
        drop(queue);
        if more {
            self.arrived.notify_one();
        }
        self.settled(messages);
    }

    fn settled(&self, messages: usize) {
        self.open.end(messages);
    }

    /// Waits until everything that was pushed is settled.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn idle(&self) {
        self.open.none().await;
    }
}

/// How many batches of acknowledgements are on their way at once.
const BATCHES: usize = 4;

/// How long a refused dead letter waits at first, and at most.
pub(super) const REFUSED: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Settles what is pushed, for as long as it is polled.
pub(super) async fn settle(desk: Arc<Desk>) {
    let mut work: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
    // In transactions it is they who settle.
    let mut heart = Heart::new(desk.wants().heartbeat.filter(|_| desk.done.is_none()));
    loop {
        let queue = desk.verdicts.take();
        work.extend(queue.begun);
        work.extend(queue.others.into_iter().map(|one| settle_one(&desk, one).boxed()));
        if !queue.acks.is_empty() {
            work.push(acknowledge(desk.clone(), queue.acks).boxed());
        }
        tokio::select! {
            biased;
            () = heart.beat() => desk.observe(&Happening::Beats(Loop::Settling)),
            Some(()) = work.next() => {}
            () = desk.verdicts.arrived.notified() => {}
        }
    }
}

/// Acknowledges, at once where that takes no waiting: many brokers are told later, and it would cost more to wake somebody.
pub(super) fn acknowledge_at_once(desk: &Arc<Desk>, acks: &mut Acks) {
    let Some(acks) = desk.verdicts.add(acks) else { return };
    let mut settling = acknowledge(desk.clone(), acks).boxed();
    if (&mut settling).now_or_never().is_none() {
        desk.verdicts.queue().begun.push(settling);
        desk.verdicts.arrived.notify_one();
    }
}

async fn acknowledge(desk: Arc<Desk>, Acks { settlements, outcomes }: Acks) {
    // The observers want to see the deliveries, which settling takes away.
    let seen: Vec<_> = match desk.is_observed() {
        true => settlements.iter().map(|one| view(&desk, &one.delivery)).zip(outcomes).collect(),
        false => Vec::new(),
    };
    let count = settlements.len();
    let results = desk.spans.settle(&*desk.settler, settlements).await;
    for (at, result) in results.iter().enumerate() {
        if let Err(refused) = result {
            note_refused(refused.error());
        }
        if let Some((delivery, outcome)) = seen.get(at) {
            let result = result.as_ref().map(|settled| *settled).map_err(SettleError::error);
            desk.observe(&Happening::Settled { delivery, outcome: *outcome, result });
        }
    }
    // What was refused and is still ours is released here: it comes again.
    drop(results);
    desk.verdicts.batch_ended(count);
}

/// Puts back or dead-letters a message; its key goes on afterwards.
async fn settle_one(desk: &Desk, decided: Decided) {
    if desk.handling.parking.is_some() {
        parking::note(desk, &decided.task, decided.outcome).await;
    }
    let Decided { task: Task { mut delivery, .. }, verdict, mut outcome, later } = decided;
    let key = delivery.to_key();
    let seen = view(desk, &delivery);
    let mut wait = REFUSED.0;
    let result = loop {
        let settlement = Settlement { delivery, verdict: verdict.clone() };
        let mut results = desk.spans.settle(&*desk.settler, vec![settlement]).await;
        let result = results.pop().unwrap_or(Ok(Settled::Recorded));
        match result {
            Err(refused) if is_dead_letter(&verdict) && !is_gone(refused.error()) => {
                let (error, back) = refused.into_parts();
                tracing::error!(%error, "a dead letter could not be published; its key waits, and it is tried again");
                desk.observe(&Happening::DeadLetterRefused(&error));
                delivery = back;
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(REFUSED.1);
            }
            result => break result,
        }
    };
    if let Err(refused) = &result {
        note_refused(refused.error());
        if !is_gone(refused.error()) {
            outcome = Outcome::Retried;
        }
    }
    let told = result.as_ref().map(|settled| *settled).map_err(SettleError::error);
    desk.observe(&Happening::Settled { delivery: &seen, outcome, result: told });
    drop(result);
    for task in later {
        drop(task);
        desk.release(key.as_ref().map(Key::as_bytes));
    }
    desk.release(key.as_ref().map(Key::as_bytes));
    desk.verdicts.settled(1);
}

/// For the observers: settling the original takes it away.
pub(super) fn view(desk: &Desk, delivery: &Delivery) -> Delivery {
    let mut view = delivery.view(delivery.attempt(), desk.settler.clone());
    // Only looked at: dropping it releases nothing.
    view.take_settler();
    view
}

fn is_dead_letter(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::DeadLetter { .. })
}

/// The message had been taken away, or comes again: settling it means nothing any more.
pub(crate) fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), Kind::Superseded | Kind::Fenced | Kind::LeaseExpired | Kind::Closed)
}

pub(super) fn note_refused(error: &Error) {
    match is_gone(error) {
        true => tracing::debug!(%error, "a message was no longer ours when it was settled; it comes again"),
        false => tracing::warn!(%error, "a settlement failed; the message comes again"),
    }
}
