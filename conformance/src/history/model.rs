//! A history in memory: a few dozen bytes an event, names and ids as numbers.

use std::collections::HashMap;

use super::event::{CloseCause, Outcome, SettleVerdict, Start};
use super::header::Header;
use super::ids::{At, DeliveryId, GroupId, MessageId, Name, Partition, SessionId, TransactionId};
use super::intern::Interner;
use super::wire::Position;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// A history that has been read, and is free of format errors.
#[derive(Debug)]
pub struct History {
    pub(super) header: Header,
    pub(super) times: Vec<u64>,
    pub(super) skipped: Vec<(At, u32)>,
    pub(super) message_ids: Interner,
    pub(super) names: Interner,
    pub(super) messages: Vec<Message>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) sessions: Vec<Session>,
    pub(super) groups: Vec<Group>,
    pub(super) transactions: Vec<Transaction>,
    pub(super) faults: Vec<Fault>,
    pub(super) disturbances: Vec<(GroupId, At)>,
    pub(super) revocations: Vec<(SessionId, u32, At)>,
    pub(super) rebalances: Vec<(SessionId, At)>,
    pub(super) publish_delays: HashMap<MessageId, u64>,
    pub(super) settle_delays: HashMap<DeliveryId, u64>,
    pub(super) given_up: Vec<(DeliveryId, At)>,
    pub(super) by_message: Vec<DeliveryId>,
}

/// A message: published, or only ever delivered.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) publisher: Name,
    pub(crate) topic: Name,
    pub(crate) key: Option<Name>,
    pub(crate) dedup: Option<Name>,
    pub(crate) transaction: Option<TransactionId>,
    pub(crate) publish: Option<At>,
    pub(crate) published: Option<At>,
    pub(super) partition: Option<Partition>,
    pub(super) offset: u64,
    pub(super) hash: u64,
    pub(super) meta: Option<std::num::NonZeroU64>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) duplicate: bool,
    pub(crate) sentinel: bool,
    pub(crate) evicted: bool,
}

/// A delivery of a message to a session.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) message: MessageId,
    pub(crate) session: SessionId,
    pub(crate) at: At,
    pub(crate) settle: Option<At>,
    pub(crate) settled: Option<At>,
    pub(crate) transaction: Option<TransactionId>,
    pub(super) partition: Option<Partition>,
    pub(crate) attempt: u32,
    pub(super) offset: u64,
    pub(crate) verdict: Option<SettleVerdict>,
    pub(crate) outcome: Option<Outcome>,
    /// Released after it came back that another settlement of it may not have come through.
    pub(crate) given_back: bool,
    pub(crate) redelivered: bool,
    pub(crate) dead_letter: bool,
    pub(crate) difference: Option<Difference>,
}

/// How a delivery differs from what was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// It was not published before.
    Unpublished,
    Topic,
    Key,
    Payload,
    Meta,
}

/// A consumer session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) consumer: Name,
    pub(crate) group: GroupId,
    pub(crate) start: Start,
    pub(crate) opened: At,
    pub(crate) closed: Option<(At, CloseCause)>,
}

/// A consumer group on one topic.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: Name,
    pub(crate) topic: Name,
    /// Its first session's.
    pub(crate) start: Start,
    /// When its first session opened.
    pub(crate) opened: At,
    /// The last time that it was drained.
    pub(crate) drained: Option<At>,
}

/// A transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) id: Name,
    pub(crate) begin: At,
    pub(crate) commit: Option<At>,
    pub(crate) abort: Option<At>,
    pub(crate) end: Option<At>,
    pub(crate) outcome: Option<Outcome>,
}

impl Transaction {
    /// Since when it is known to be committed.
    pub(crate) fn committed(&self) -> Option<At> {
        self.end.filter(|_| self.outcome == Some(Outcome::Ok) && self.commits())
    }

    /// Whether it certainly was not committed: it never was to be, that failed, or it was aborted after all.
    pub(crate) fn not_committed(&self) -> bool {
        let ended = if self.commits() { Outcome::Failed } else { Outcome::Ok };
        self.commit.is_none() || self.outcome == Some(ended)
    }

    /// Whether its commit was invoked, and its abort not since.
    fn commits(&self) -> bool {
        self.commit > self.abort
    }
}

/// Something that was done to the broker or a client.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) at: At,
    pub(crate) kind: Name,
    pub(crate) target: Name,
}

impl Message {
    /// Where the receipt says that it is stored.
    pub(crate) fn position(&self) -> Option<Position> {
        position(self.partition, self.offset)
    }
}

impl Delivery {
    /// Where it is stored.
    pub(crate) fn position(&self) -> Option<Position> {
        position(self.partition, self.offset)
    }

    /// Whether it is known to be a redelivery by its marks.
    pub(crate) fn marked(&self) -> bool {
        self.redelivered || self.attempt > 1
    }

    /// Whether it was settled like this, and not in vain.
    pub(crate) fn was(&self, verdict: SettleVerdict) -> bool {
        self.verdict == Some(verdict) && self.outcome != Some(Outcome::Failed)
    }
}

fn position(partition: Option<Partition>, offset: u64) -> Option<Position> {
    partition.map(|partition| Position { partition: partition.index() as u32, offset })
}

impl History {
    /// What the history is held to.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether a delivery ended in a release, or in a transaction that is not known to be committed: it counts as no attempt.
    pub(crate) fn was_released(&self, delivery: &Delivery) -> bool {
        let undone = |id| self.transaction(id).committed().is_none();
        delivery.given_back
            || delivery.was(SettleVerdict::Release)
            || delivery.transaction.is_some_and(undone)
    }

    /// How many events there are.
    pub fn events(&self) -> usize {
        self.times.len()
    }

    /// How many messages were published.
    pub fn published_messages(&self) -> usize {
        self.messages.iter().filter(|message| message.publish.is_some()).count()
    }

    /// How many deliveries there were.
    pub fn delivery_count(&self) -> usize {
        self.deliveries.len()
    }

    pub(crate) fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.index()]
    }

    pub(crate) fn delivery(&self, id: DeliveryId) -> &Delivery {
        &self.deliveries[id.index()]
    }

    pub(crate) fn session(&self, id: SessionId) -> &Session {
        &self.sessions[id.index()]
    }

    pub(crate) fn group(&self, id: GroupId) -> &Group {
        &self.groups[id.index()]
    }

    pub(crate) fn transaction(&self, id: TransactionId) -> &Transaction {
        &self.transactions[id.index()]
    }

    /// The group that a delivery went to.
    pub(crate) fn group_of(&self, delivery: &Delivery) -> GroupId {
        self.session(delivery.session).group
    }

    /// The messages that were published, in the order of their ids.
    pub(crate) fn published(&self) -> impl Iterator<Item = (MessageId, &Message, At)> {
        let numbered = self.messages.iter().enumerate();
        numbered.filter_map(|(i, message)| Some((MessageId::new(i), message, message.publish?)))
    }

    /// The deliveries of messages that had been published, in their order. What was not is only P1's.
    pub(crate) fn all_deliveries(&self) -> impl Iterator<Item = (DeliveryId, &Delivery)> {
        let numbered = self.deliveries.iter().enumerate();
        let published = numbered.filter(|(_, it)| it.difference != Some(Difference::Unpublished));
        published.map(|(i, delivery)| (DeliveryId::new(i), delivery))
    }

    /// All deliveries, also of messages that were not published, in their order.
    pub(crate) fn even_phantoms(&self) -> &[Delivery] {
        &self.deliveries
    }

    pub(crate) fn all_sessions(&self) -> &[Session] {
        &self.sessions
    }

    pub(crate) fn all_groups(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.groups.iter().enumerate().map(|(i, group)| (GroupId::new(i), group))
    }

    pub(crate) fn all_transactions(&self) -> impl Iterator<Item = (TransactionId, &Transaction)> {
        self.transactions.iter().enumerate().map(|(i, each)| (TransactionId::new(i), each))
    }

    pub(crate) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// A message's id, as in the file.
    pub(crate) fn message_id(&self, id: MessageId) -> &str {
        self.message_ids.text(id.index())
    }

    /// A topic, key, group, publisher or consumer, as in the file.
    pub(crate) fn name(&self, name: Name) -> &str {
        self.names.text(name.index())
    }

    /// When an event happened, in nanoseconds.
    pub(crate) fn time(&self, at: At) -> u64 {
        self.times[at.index()]
    }

    /// How long after one event another happened, in nanoseconds.
    pub(crate) fn elapsed(&self, from: At, to: At) -> u64 {
        self.time(to).saturating_sub(self.time(from))
    }

    /// When the last event happened, in nanoseconds.
    pub(crate) fn end(&self) -> u64 {
        self.times.last().copied().unwrap_or(0)
    }

    /// The line of an event in the file, from 1.
    pub(crate) fn line(&self, at: At) -> u64 {
        let gaps = self.skipped.partition_point(|(after, _)| *after <= at);
        let skipped = if gaps == 0 { 0 } else { self.skipped[gaps - 1].1 };
        at.index() as u64 + 1 + u64::from(skipped)
    }

    /// The first event that does not happen before `time`, which may be past the last.
    pub(crate) fn first_from(&self, time: u64) -> At {
        At::new(self.times.partition_point(|each| *each < time))
    }

    /// How far two clocks may be apart, in nanoseconds.
    pub(crate) fn epsilon(&self) -> u64 {
        nanos(self.header.epsilon_ms)
    }

    /// How long a delivery stays with its consumer, in nanoseconds, if P6 promises a lease.
    pub(crate) fn lease(&self) -> Option<u64> {
        self.header.promises.p6.and_then(|lease| lease.lease_ms).map(nanos)
    }

    /// For how long a message was to be held back when it was published, in nanoseconds.
    pub(crate) fn publish_delay(&self, id: MessageId) -> Option<u64> {
        self.publish_delays.get(&id).copied().map(nanos)
    }

    /// For how long a redelivery was to wait, in nanoseconds.
    pub(crate) fn settle_delay(&self, id: DeliveryId) -> Option<u64> {
        self.settle_delays.get(&id).copied().map(nanos)
    }

    /// Deliveries that were nacked or released after it came back that another settlement of them may not have come through.
    pub(crate) fn given_up(&self) -> impl Iterator<Item = (&Delivery, At)> {
        self.given_up.iter().map(|(id, at)| (self.delivery(*id), *at))
    }

    /// Which messages have the same deduplication id: those with an equal number.
    pub(crate) fn dedup_class(&self, id: MessageId) -> usize {
        match self.message(id).dedup {
            None => id.index(),
            Some(name) => match self.message_ids.get(self.name(name)) {
                Some(message) => message,
                None => self.messages.len() + name.index(),
            },
        }
    }

    /// The message whose own id is the deduplication id of a class, if one was published so.
    pub(crate) fn original(&self, dedup_class: usize) -> impl Iterator<Item = MessageId> {
        let message = self.messages.get(dedup_class);
        let plain = message.filter(|message| message.publish.is_some() && message.dedup.is_none());
        plain.map(|_| MessageId::new(dedup_class)).into_iter()
    }
}

/// Milliseconds in nanoseconds.
pub(crate) fn nanos(millis: u64) -> u64 {
    millis.saturating_mul(NANOS_PER_MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_and_a_delivery_take_few_bytes() {
        assert!(size_of::<Message>() <= 64, "{}", size_of::<Message>());
        assert!(size_of::<Delivery>() <= 48, "{}", size_of::<Delivery>());
    }
}
