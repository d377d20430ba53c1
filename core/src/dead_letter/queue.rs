//! The dead letter topic as an operator works on it: letters are read, held, and given back or settled.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::handled::Acknowledger;
use super::{DeadLetter, Filter};
use crate::backend::Broker;
use crate::consumer::{Consumer, Subscription};
use crate::delivery::Delivery;
use crate::error::Result;
use crate::guarantees::{Acknowledgement, Exclusivity};
use crate::message::MessageId;
use crate::topic::{Group, Topic};

/// How long a new member may take to be given its share, while letters wait.
const JOINING: Duration = Duration::from_secs(10);

/// A dead letter topic, as an operator's group sees it.
#[derive(Clone, Debug)]
pub struct Queue {
    pub(super) broker: Broker,
    subscription: Subscription,
    idle: Duration,
}

impl Queue {
    /// The letters of `topic` that `group` has not settled: up to 1,000, or 64 MiB, are read, and reading ends after 2 s without
    /// one.
    pub fn new(broker: Broker, topic: Topic, group: Group) -> Self {
        Queue { broker, subscription: Subscription::new(topic, group), idle: Duration::from_secs(2) }
    }

    /// Bounds the letters read, and so those that are held at once.
    pub fn max(mut self, letters: usize) -> Self {
        self.subscription = self.subscription.prefetch(letters);
        self
    }

    /// States after how long without a letter reading ends. Joining a group that has letters waiting may take 10 s more.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// The dead letter topic.
    pub fn topic(&self) -> &Topic {
        &self.subscription.topic
    }

    /// Joins the group; nothing is read yet.
    ///
    /// # Errors
    /// As [`Backend::consumer`](crate::Backend::consumer) and [`Backend::guarantees`](crate::Backend::guarantees).
    ///
    /// # Cancel safety
    /// Cancel safe; a cancelled call may have joined the group for a moment.
    pub async fn open(self) -> Result<Letters> {
        let Subscription { topic, group, prefetch, .. } = self.subscription.clone();
        let given = self.broker.guarantees(Some(&topic), Some(&group)).await?;
        let consumer = self.broker.consumer(self.subscription.clone()).await?;
        Ok(Letters {
            settler: Acknowledger(consumer.settler()),
            consumer,
            queue: self,
            held: Vec::new(),
            seen: 0,
            bytes: 0,
            hands_out_few: given.exclusivity.value == Exclusivity::Key
                || given.limits.in_flight.is_some_and(|most| most < prefetch),
            in_order_only: given.acknowledgement.value == Acknowledgement::Cumulative,
            lease: given.limits.lease,
            since: None,
        })
    }

    /// How many letters wait for the group, as far as the broker tells.
    async fn backlog(&self) -> u64 {
        let Subscription { topic, group, .. } = &self.subscription;
        self.broker.admin().backlog(topic, group).await.unwrap_or_default()
    }
}

/// A dead letter that is held. Dropping it gives it back.
#[derive(Debug)]
pub struct Letter {
    delivery: Delivery,
    envelope: Option<DeadLetter>,
}

impl Letter {
    fn new(delivery: Delivery) -> Self {
        Letter { envelope: DeadLetter::read(&delivery), delivery }
    }

    /// The message as it stands in the dead letter topic.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// What it says of itself; none if somebody put a message there without it.
    pub fn envelope(&self) -> Option<&DeadLetter> {
        self.envelope.as_ref()
    }

    /// The id of the message that it is.
    pub fn id(&self) -> Option<MessageId> {
        self.envelope.as_ref().and_then(|said| said.message_id.clone()).or_else(|| self.delivery.id())
    }

    /// Whether it has that id: its own, or that of the message that it is.
    pub fn is(&self, id: &MessageId) -> bool {
        self.delivery.id().as_ref() == Some(id) || self.id().as_ref() == Some(id)
    }

    /// The topic that the message was consumed from.
    pub(super) fn origin(&self) -> Option<&Topic> {
        self.envelope.as_ref()?.topic.as_ref()
    }

    /// When it was given up, or else when the broker took it.
    pub(super) fn died(&self) -> Option<SystemTime> {
        let stored = u64::try_from(self.delivery.stored()).ok().filter(|stored| *stored > 0);
        let stored = stored.map(|stored| UNIX_EPOCH + Duration::from_millis(stored));
        self.envelope.as_ref().and_then(|said| said.time).or(stored)
    }

    pub(super) fn into_delivery(self) -> Delivery {
        self.delivery
    }
}

/// Letters that are held, in the order of the topic. Those that are neither replayed nor discarded are given back, in order
/// and without counting an attempt, when this is closed or dropped.
#[derive(Debug)]
pub struct Letters {
    pub(super) queue: Queue,
    pub(super) settler: Acknowledger,
    consumer: Box<dyn Consumer>,
    pub(super) held: Vec<Letter>,
    seen: usize,
    bytes: usize,
    /// The broker hands out the later letters of a key only when earlier ones have been settled.
    hands_out_few: bool,
    /// The broker acknowledges a message only together with all before it.
    pub(super) in_order_only: bool,
    lease: Option<Duration>,
    /// Since when the first letter is held.
    since: Option<Instant>,
}

impl Letters {
    /// Reads until as many have been read as may be, the last one read is `enough`, or none has come for a while.
    ///
    /// # Errors
    /// As [`Consumer::receive`].
    ///
    /// # Cancel safety
    /// Cancel safe: what was read is held.
    pub async fn read(&mut self, enough: impl Fn(&Letters) -> bool) -> Result<()> {
        let (began, idle) = (Instant::now(), self.queue.idle);
        let mut last = began;
        while !self.is_full() {
            let left = self.queue.subscription.prefetch - self.seen;
            match tokio::time::timeout_at(last + idle, self.consumer.receive(left)).await {
                Ok(received) => {
                    self.hold(received?);
                    if enough(self) {
                        return Ok(());
                    }
                }
                Err(_)
                    if self.held.is_empty()
                        && began.elapsed() < JOINING
                        && self.queue.backlog().await > 0 => {}
                Err(_) => return Ok(()),
            }
            last = Instant::now();
        }
        Ok(())
    }

    fn hold(&mut self, received: Vec<Delivery>) {
        self.since.get_or_insert_with(Instant::now);
        self.seen += received.len();
        self.bytes += received.iter().map(|delivery| delivery.size()).sum::<usize>();
        self.held.extend(received.into_iter().map(Letter::new));
    }

    /// The letters held.
    pub fn held(&self) -> &[Letter] {
        &self.held
    }

    /// How many have been read.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// How many letters wait that the broker hands out only when earlier ones of their keys have been settled, as far as it
    /// tells.
    pub async fn waiting(&self) -> u64 {
        if self.hands_out_few { self.queue.backlog().await.saturating_sub(self.held.len() as u64) } else { 0 }
    }

    /// Reads what the broker hands out now that others have been settled, and takes what is meant of it, except what has died
    /// since `began`: it has been replayed once already.
    pub(super) async fn read_on(&mut self, filter: &Filter, began: SystemTime) -> Result<Vec<Letter>> {
        if !self.hands_out_few {
            return Ok(Vec::new());
        }
        self.read(|_| false).await?;
        Ok(self.take(|letter| filter.matches(letter) && letter.died().is_none_or(|died| died < began)))
    }

    /// Whether as many have been read as may be: there may be more in the topic.
    pub fn is_full(&self) -> bool {
        let Subscription { prefetch, prefetch_bytes, .. } = &self.queue.subscription;
        self.seen >= *prefetch || self.bytes >= *prefetch_bytes
    }

    /// Until when the letters are ours for certain, where the broker lends them for a fixed time.
    pub(super) fn until(&self) -> Option<Instant> {
        // The rest is for what is on its way then.
        Some(self.since? + self.lease?.mul_f64(0.8))
    }

    /// Gives back what is held, waits until the broker has what was settled, and leaves the group. Says how many letters were
    /// settled in vain and come again: those behind one that stays, where the broker acknowledges only in order.
    ///
    /// # Errors
    /// As [`Settler::flush`](crate::Settler::flush) and [`Consumer::close`]: what was settled may come again.
    ///
    /// # Cancel safety
    /// Not cancel safe: a cancelled call ends as a crash would; nothing is lost.
    pub async fn close(self) -> Result<usize> {
        drop(self.held);
        let flushed = self.settler.0.flush().await;
        let closed = self.consumer.close().await;
        let behind = flushed?.messages;
        closed?;
        Ok(if self.in_order_only { behind } else { 0 })
    }
}
