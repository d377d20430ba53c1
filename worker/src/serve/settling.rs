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
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    queue: Mutex<Queue>,
    /// Not settled yet, including those on their way.
    open: Open,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    acks: Acks,
    others: Vec<Decided>,
}

/// Acknowledgements that are settled together, and what each of them came of.
#[derive(Debug, Default)]
pub(super) struct Acks {
    settlements: Vec<Settlement>,
    outcomes: Vec<Outcome>,
}

impl Acks {
    pub(super) fn with_capacity(messages: usize) -> Self {
        Acks { settlements: Vec::with_capacity(messages), outcomes: Vec::with_capacity(messages) }
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

    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.settlements.iter().filter_map(|settlement| settlement.delivery.key())
    }

    fn append(&mut self, more: &mut Acks) {
        if self.settlements.is_empty() {
            return std::mem::swap(self, more);
        }
        self.settlements.append(&mut more.settlements);
        self.outcomes.append(&mut more.outcomes);
    }
}

impl Verdicts {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acknowledgements after which nothing is left to do. They are settled once they are [announced](Self::announce).
    pub(super) fn add(&self, acks: &mut Acks) {
        self.open.begin(acks.settlements.len());
        let mut queue = self.queue();
        queue.acks.settlements.append(&mut acks.settlements);
        queue.acks.outcomes.append(&mut acks.outcomes);
    }

    pub(super) fn announce(&self) {
        self.arrived.notify_one();
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

    /// Of acknowledgements as many are expected next.
    fn take(&self) -> Queue {
        let mut queue = self.queue();
        let next = Acks::with_capacity(queue.acks.settlements.len());
        Queue { acks: std::mem::replace(&mut queue.acks, next), others: std::mem::take(&mut queue.others) }
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
    // Each says how many batches it was.
    let mut work: FuturesUnordered<BoxFuture<'_, usize>> = FuturesUnordered::new();
    let mut batches = 0;
    let mut acks = Acks::default();
    // In transactions it is they who settle.
    let mut heart = Heart::new(desk.wants().heartbeat.filter(|_| desk.done.is_none()));
    loop {
        let mut queue = desk.verdicts.take();
        acks.append(&mut queue.acks);
        for one in queue.others {
            work.push(Box::pin(settle_one(&desk, one).map(|()| 0)));
        }
        if batches < BATCHES && !acks.settlements.is_empty() {
            batches += 1;
            work.push(Box::pin(acknowledge(&desk, std::mem::take(&mut acks)).map(|()| 1)));
        }
        tokio::select! {
            biased;
            () = heart.beat() => desk.observe(&Happening::Beats(Loop::Settling)),
            Some(ended) = work.next() => batches -= ended,
            () = desk.verdicts.arrived.notified() => {}
        }
    }
}

async fn acknowledge(desk: &Desk, Acks { settlements, outcomes }: Acks) {
    // The observers want to see the deliveries, which settling takes away.
    let seen: Vec<_> = match desk.is_observed() {
        true => settlements.iter().map(|one| view(desk, &one.delivery)).zip(outcomes).collect(),
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
    desk.verdicts.settled(count);
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
