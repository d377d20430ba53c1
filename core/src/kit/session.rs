//! A consumer session: the bounded buffer between an adapter's fetch task and the application.

mod consumer;
mod receiving;
mod settling;

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dead_letter::DeadLetters;
use super::inputs::Head;
use super::ledger::{Ledger, Room};
use super::link::Link;
use super::partition::{AckPlan, Handout, Incoming, Returned};
use crate::consumer::Subscription;
use crate::dead_letter::{Reason, ReasonClass};
use crate::delivery::{Delivery, Held, SettleError, Settled, Settlement, Settler, Standing, Token, Verdict};
use crate::error::{Error, Result};
use crate::publisher::Publisher;
use crate::topic::{Group, Topic};
pub use consumer::SessionConsumer;

/// The state of one consumer, shared by the application, the fetch task and everybody who settles.
pub struct Session {
    subscription: Subscription,
    ledger: Mutex<Ledger>,
    ended: OnceLock<Error>,
    /// None before it is connected, and after the consumer has gone: a link usually holds the session too.
    link: Mutex<Option<Arc<dyn Link>>>,
    /// The tasks that give messages up; they end with the session.
    giving_up: Mutex<JoinSet<()>>,
    dead_letters: Option<DeadLetters>,
    arrived: Notify,
    /// Wakes everybody who waits for a state of the session.
    settled: Notify,
    /// Wakes the adapter's task that acknowledges; remembers one wake-up.
    acks: Notify,
    /// Wakes whoever waits for its end.
    over: Notify,
    /// How many wait for records.
    waiting: AtomicUsize,
}

impl Session {
    /// A session for `subscription`. `lease` bounds how long a delivery may be held; `dead_letters` publishes to the
    /// subscription's dead letter topic.
    pub fn new(
        mut subscription: Subscription,
        lease: Option<Duration>,
        dead_letters: Option<Arc<dyn Publisher>>,
    ) -> Arc<Self> {
        subscription.prefetch = subscription.prefetch.max(1);
        Arc::new(Session {
            ledger: Mutex::new(Ledger::new(subscription.prefetch, subscription.prefetch_bytes, lease)),
            dead_letters: dead_letters.map(|publisher| DeadLetters::new(publisher, &subscription)),
            subscription,
            ended: OnceLock::new(),
            link: Mutex::default(),
            giving_up: Mutex::new(JoinSet::new()),
            arrived: Notify::new(),
            settled: Notify::new(),
            acks: Notify::new(),
            over: Notify::new(),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Joins the session with its adapter; once, before anything is received.
    pub fn connect(self: &Arc<Self>, link: Arc<dyn Link>) -> SessionConsumer {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
        SessionConsumer { session: self.clone(), closed: false }
    }

    /// The subscription that it serves.
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// A partition is ours from now on. Records are pushed with the generation that this returns.
    pub fn assign(&self, partition: u32) -> u32 {
        self.ledger().assign(partition)
    }

    /// A partition is ours until then, unless that is renewed: later nothing of it is handed out or settled, even if the
    /// process was stopped meanwhile and nobody has revoked it yet.
    pub fn hold_until(&self, partition: u32, until: Instant) {
        if let Some(partition) = self.ledger().partition(partition) {
            partition.until = Some(until);
        }
        self.arrived.notify_one();
    }

    /// A partition is no longer ours: its deliveries are void. Says what goes back, in order.
    pub fn revoke(&self, partition: u32) -> Vec<Returned> {
        let revoked = self.ledger().revoke(partition);
        self.settled.notify_waiters();
        revoked.map(|p| p.returned()).unwrap_or_default()
    }

    /// Takes a record in; says whether its partition is still ours.
    pub fn push(&self, partition: u32, generation: u32, incoming: Incoming) -> bool {
        let taken = self.ledger().push(partition, generation, incoming);
        self.arrived.notify_one();
        taken
    }

    /// Takes many records in under one lock.
    pub fn push_all(&self, partition: u32, generation: u32, incoming: impl IntoIterator<Item = Incoming>) {
        self.push_unannounced(partition, generation, incoming);
        self.announce();
    }

    /// The same, of one partition out of several: who waits for records is told by [`announce`](Self::announce), once for
    /// all of them. Waking somebody up costs as much as dozens of records.
    pub fn push_unannounced(
        &self,
        partition: u32,
        generation: u32,
        incoming: impl IntoIterator<Item = Incoming>,
    ) {
        let mut ledger = self.ledger();
        let Some(partition) = ledger.partition(partition).filter(|p| p.generation == generation) else {
            return;
        };
        incoming.into_iter().for_each(|incoming| partition.push(incoming));
    }

    /// Wakes whoever waits for records.
    pub fn announce(&self) {
        self.arrived.notify_one();
    }

    /// Whether somebody waits for records, or is about to, and has not asked [`Link::refill`] yet: an adapter that is asked by
    /// that need not hand on what nobody waits for.
    pub fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// How much more fits: the back-pressure that the fetch task passes on to the broker.
    pub fn room(&self) -> Room {
        self.ledger().room()
    }

    /// Waits for room.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait_for_room(&self) -> Room {
        self.wait_until(|session| Some(session.room()).filter(|room| room.messages > 0)).await
    }

    /// Stops handing out from a partition, which is about to be taken away.
    pub fn drain(&self, partition: u32) {
        if let Some(partition) = self.ledger().partition(partition) {
            partition.draining = true;
        }
        self.settled.notify_waiters();
    }

    /// Hands out from a draining partition again: it stays ours after all.
    pub fn undrain(&self, partition: u32) {
        if let Some(partition) = self.ledger().partition(partition) {
            partition.draining = false;
        }
        self.wake();
    }

    /// Whether the application holds nothing of the partition.
    pub fn is_drained(&self, partition: u32) -> bool {
        self.ledger().partition(partition).is_none_or(|p| p.is_drained())
    }

    /// Waits until the application holds nothing of the partition, or for `limit`; says which it was.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn drained(&self, partition: u32, limit: Duration) -> bool {
        let drained = self.wait_until(|session| session.is_drained(partition).then_some(()));
        tokio::time::timeout(limit, drained).await.is_ok()
    }

    /// What may be acknowledged at the broker; each acknowledgement is given out once. With `singles`, also those
    /// that wait behind an unsettled message.
    pub fn take_acks(&self, partition: u32, singles: bool) -> AckPlan {
        self.ledger().partition(partition).map(|p| p.take_acks(singles)).unwrap_or_default()
    }

    /// The broker has taken these records back (their lease has lapsed there) and delivers them again, to whomever.
    /// They are gone from the session; settling them fails with `LeaseExpired`.
    pub fn lose(&self, partition: u32, natives: impl IntoIterator<Item = u64>) {
        if let Some(partition) = self.ledger().partition(partition) {
            natives.into_iter().for_each(|native| partition.lose(native));
        }
        self.wake();
    }

    /// The first record of a partition that is not acknowledged, with the attempts it has had.
    pub fn head(&self, partition: u32) -> Option<(u64, u32)> {
        self.ledger().partition(partition)?.head()
    }

    /// The adapter's side, for adapters that know its type.
    pub fn link(&self) -> Option<Arc<dyn Link>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A delivery is to be acknowledged by other means than [`Link::acknowledge`]: until [`end_ack`](Self::end_ack) it is
    /// nobody's to settle, and in hand for everybody who waits for its partition.
    ///
    /// # Errors
    /// It is no longer ours.
    pub(super) fn begin_ack(&self, token: Token) -> Result<u64> {
        match self.ended() {
            Some(error) => Err(error),
            None => self.ledger().begin_ack(token),
        }
    }

    /// It is done, or in hand as before.
    pub(super) fn end_ack(&self, tokens: &[Token], done: bool) {
        let mut ledger = self.ledger();
        tokens.iter().for_each(|token| ledger.end_ack(*token, done));
        drop(ledger);
        self.wake();
        if let (Some(link), true) = (self.link(), done) {
            link.recorded(tokens.len());
        }
    }

    pub(super) fn is_confirming(&self, token: Token) -> bool {
        self.ledger().partition(token.partition).is_some_and(|partition| partition.is_confirming(token))
    }

    pub(super) fn head_after(&self, partition: u32, done: &BTreeSet<u64>) -> Option<Head> {
        self.ledger().partition(partition).map(|partition| partition.head_after(done))
    }

    /// The partitions that are ours.
    pub fn partitions(&self) -> Vec<u32> {
        self.ledger().partitions().map(|(number, _)| number).collect()
    }

    /// Waits for a settlement since the last call: the moment to take acknowledgements. For one task only.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn settlement(&self) {
        self.acks.notified().await;
    }

    /// Waits until `ready` gives a value, looking again after every settlement.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait_until<T>(&self, ready: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            if let Some(value) = ready(self) {
                return value;
            }
            settled.await;
        }
    }

    /// Ends the session: everything that waits, and every later call, fails with `error`.
    pub fn fail(&self, error: Error) {
        let _ = self.ended.set(error);
        self.giving_up.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        self.wake();
        self.over.notify_waiters();
    }

    /// Waits until the session has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn end(&self) {
        let mut over = std::pin::pin!(self.over.notified());
        over.as_mut().enable();
        if self.ended.get().is_none() {
            over.await;
        }
    }

    /// Why the session has ended, if it has.
    pub fn ended(&self) -> Option<Error> {
        self.ended.get().map(Error::duplicate)
    }

    fn wake(&self) {
        self.arrived.notify_one();
        self.acks.notify_one();
        self.settled.notify_waiters();
    }

    /// Lets go of the link, so that neither holds the other for ever.
    fn disconnect(&self) {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Outside the lock: it may be the last of the session's owners.
        drop(link);
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delivery(self: &Arc<Self>, handout: Handout) -> Delivery {
        Delivery::new(handout.record, handout.token, handout.provenance, self.clone())
    }

    /// Dead-letters a message that has used up its attempts. While that fails, the message and its key wait.
    async fn give_up(self: &Arc<Self>, delivery: Delivery, failures: u32) {
        let text = format!("it failed {failures} times, and the subscription allows no more");
        let reason = Reason::new(ReasonClass::Retryable, text);
        let (token, key) = (delivery.token(), delivery.to_key());
        let settlement = Settlement { delivery, verdict: Verdict::DeadLetter { reason } };
        match self.settle(vec![settlement]).await.pop() {
            Some(Err(refused)) => {
                let (error, mut delivery) = refused.into_parts();
                tracing::warn!(%error, "a message that used up its attempts could not be dead-lettered; trying again");
                if delivery.take_settler().is_some() {
                    let now = Instant::now();
                    self.ledger().postpone(token, now + DEAD_LETTER_RETRY, now);
                }
            }
            _ => {
                if let Some(key) = key {
                    self.ledger().unpark(token.partition, key.as_bytes());
                }
            }
        }
        self.wake();
    }
}

/// How long a message waits when the dead letter topic could not be reached.
const DEAD_LETTER_RETRY: Duration = Duration::from_secs(1);

#[async_trait]
impl Settler for Session {
    async fn settle(&self, batch: Vec<Settlement>) -> Vec<Result<Settled, SettleError>> {
        if let Some(error) = self.ended() {
            return batch.into_iter().map(|s| Err(SettleError::new(error.duplicate(), s.delivery))).collect();
        }
        let refused = self.publish_dead_letters(&batch).await;
        let link = self.link();
        let confirming = link.as_ref().filter(|link| link.confirms());
        let mut applied = self.apply(batch, &refused, confirming.is_some());
        if !applied.asks_only() {
            self.wake();
        }
        if let (Some(link), true) = (&link, applied.recorded > 0) {
            link.recorded(applied.recorded);
        }
        if let (Some(link), false) = (confirming, applied.acks.is_empty()) {
            let answers = link.acknowledge(&applied.acks).await;
            self.answered(&mut applied, answers);
        }
        applied.finish()
    }

    async fn flush(&self) -> Result<Held> {
        match (self.link(), self.ended()) {
            (Some(link), _) => {
                link.flush().await?;
                if link.confirms() {
                    // Each was told when it was made, whatever is unsettled before it.
                    return Ok(Held::default());
                }
            }
            (None, Some(error)) => return Err(error),
            (None, None) => {}
        }
        Ok(Held { messages: self.ledger().partitions().map(|(_, p)| p.held_back()).sum() })
    }

    fn release(&self, token: Token) {
        // Once the session has ended, its end hands back what was held, with the attempt counted.
        if self.ended.get().is_some() {
            return;
        }
        // A delivery that is void already has nothing to release.
        let _ = self.ledger().apply(token, &Verdict::Release, Instant::now());
        self.wake();
    }

    fn is_current(&self, token: Token) -> bool {
        self.ended.get().is_none() && self.ledger().is_current(token)
    }

    fn are_current(&self, tokens: &[Token]) -> Vec<bool> {
        let (open, mut ledger) = (self.ended.get().is_none(), self.ledger());
        tokens.iter().map(|token| open && ledger.is_current(*token)).collect()
    }

    fn standing(&self, tokens: &[Token]) -> Vec<Standing> {
        match self.ended.get() {
            Some(_) => vec![Standing::Void; tokens.len()],
            None => self.ledger().standing(tokens),
        }
    }

    /// Itself, for [`Inputs`](super::Inputs).
    fn context(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(self)
    }

    fn topic(&self) -> &Topic {
        &self.subscription.topic
    }

    fn group(&self) -> &Group {
        &self.subscription.group
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
