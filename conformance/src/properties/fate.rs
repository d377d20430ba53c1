//! What became of messages: confirmed, owed to which groups, excused from delivery.

use std::cell::RefCell;
use std::collections::HashMap;

use super::twins::Twins;
use crate::history::{
    At, DeadLetterPromise, DeliveryId, GroupId, History, Message, MessageId, Name, Outcome, SettleVerdict,
};

/// Kinds of `fault` lines that undo a fault and are none themselves.
const UNDOING: [&str; 3] = ["restart", "resume", "heal"];

/// What became of a history's messages.
#[derive(Debug)]
pub(crate) struct Fate<'a> {
    history: &'a History,
    groups: HashMap<Name, Vec<GroupId>>,
    /// The last fault that a confirmed message need not outlive.
    last_deadly_fault: Option<At>,
    twins: Twins,
    /// What is known of the messages of a deduplication id and topic in a group.
    known: RefCell<HashMap<(Twin, usize, Name, GroupId), bool>>,
}

/// What is asked about the messages of one deduplication id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Twin {
    Done,
    Delivered,
}

impl<'a> Fate<'a> {
    pub(crate) fn new(history: &'a History) -> Self {
        let mut groups: HashMap<Name, Vec<GroupId>> = HashMap::new();
        for (id, group) in history.all_groups() {
            groups.entry(group.topic).or_default().push(id);
        }
        Self {
            history,
            groups,
            last_deadly_fault: last_deadly_fault(history),
            twins: Twins::new(history),
            known: RefCell::default(),
        }
    }

    /// The groups on a topic.
    pub(crate) fn groups(&self, topic: Name) -> &[GroupId] {
        self.groups.get(&topic).map_or(&[], Vec::as_slice)
    }

    /// Since when a message counts as published: its outcome came back ok, or its transaction's did.
    pub(crate) fn confirmed(&self, message: &Message) -> Option<At> {
        confirmed(self.history, message)
    }

    /// Whether a group is to get a message: it reads from the earliest, or existed before.
    pub(crate) fn owed(&self, message: &Message, group: GroupId) -> bool {
        let group = self.history.group(group);
        group.start == crate::history::Start::Earliest || message.publish > Some(group.opened)
    }

    /// Whether a message, confirmed before a fault that it need not outlive, has not been seen since.
    pub(crate) fn died(&self, id: MessageId, confirmed: At) -> bool {
        let last_seen = self.history.deliveries_of(id).iter().max();
        let last_seen = last_seen.map_or(confirmed, |id| self.history.delivery(*id).at.max(confirmed));
        self.last_deadly_fault > Some(last_seen)
    }

    /// Whether a message was evicted or put into the dead letter topic.
    pub(crate) fn removed(&self, id: MessageId) -> bool {
        self.history.message(id).evicted || self.history.dead_letters(id).next().is_some()
    }

    /// Whether a group gave a message up, so that it need not get it any more.
    pub(crate) fn given_up(&self, id: MessageId, group: GroupId) -> bool {
        let deliveries = self.history.deliveries_to(id, group);
        let dead_lettered = |id: &DeliveryId| self.history.delivery(*id).was(SettleVerdict::DeadLetter);
        deliveries.iter().any(dead_lettered) || self.dropped_at_limit(deliveries)
    }

    /// Whether a group has done with a message or need not any more: acknowledged, evicted, dead-lettered, given up.
    pub(crate) fn done(&self, id: MessageId, group: GroupId) -> bool {
        let acked = |id: &DeliveryId| self.history.delivery(*id).was(SettleVerdict::Ack);
        self.history.deliveries_to(id, group).iter().any(acked)
            || self.removed(id)
            || self.given_up(id, group)
    }

    /// Whether a group has done with another message of the same deduplication id, where that counts.
    pub(crate) fn done_with_twin(&self, id: MessageId, group: GroupId) -> bool {
        self.any_twin(Twin::Done, id, group, |other| self.done(other, group))
    }

    /// Whether another message of the same deduplication id was delivered to a group, where that counts.
    pub(crate) fn twin_delivered(&self, id: MessageId, group: GroupId) -> bool {
        self.any_twin(Twin::Delivered, id, group, |other| {
            !self.history.deliveries_to(other, group).is_empty()
        })
    }

    /// Whether `holds` for any message of the same deduplication id: looked up once for each id and group.
    fn any_twin(
        &self,
        question: Twin,
        id: MessageId,
        group: GroupId,
        holds: impl Fn(MessageId) -> bool,
    ) -> bool {
        let message = self.history.message(id);
        if !message.duplicate && self.history.header().promises.p11.is_none() {
            return false;
        }
        let class = self.history.dedup_class(id);
        let mut known = self.known.borrow_mut();
        *known
            .entry((question, class, message.topic, group))
            .or_insert_with(|| self.twins.of(self.history, id).iter().any(|other| holds(*other)))
    }

    /// Whether these deliveries reached the limit, where a message that does is dropped.
    fn dropped_at_limit(&self, deliveries: &[DeliveryId]) -> bool {
        let Some(promise) = self.history.header().promises.p10 else { return false };
        promise.dead_letter != DeadLetterPromise::AtLeastOnce
            && reached(self.history, deliveries) >= promise.limit
    }
}

/// Since when a message counts as published: its outcome came back ok, or its transaction's did.
pub(crate) fn confirmed(history: &History, message: &Message) -> Option<At> {
    match message.transaction {
        None => message.published.filter(|_| message.outcome == Some(Outcome::Ok)),
        Some(_) if message.outcome == Some(Outcome::Failed) => None,
        Some(transaction) => {
            history.transaction(transaction).committed().filter(|end| Some(*end) > message.publish)
        }
    }
}

/// How many deliveries these are, released ones not counted, or the broker's own count if that is greater.
pub(crate) fn reached(history: &History, deliveries: &[DeliveryId]) -> u64 {
    let deliveries = deliveries.iter().map(|id| history.delivery(*id));
    let counted = deliveries.filter(|delivery| !history.was_released(delivery));
    let (count, attempt) = counted
        .fold((0, 0), |(count, attempt), delivery| (count + 1, u64::from(delivery.attempt).max(attempt)));
    attempt.max(count)
}

fn last_deadly_fault(history: &History) -> Option<At> {
    let survives = history.header().promises.p3.as_ref()?.survives.as_ref()?;
    let deadly = |kind: &str| !UNDOING.contains(&kind) && !survives.iter().any(|each| each == kind);
    let mut deadly = history.faults().iter().filter(|fault| deadly(history.name(fault.kind)));
    deadly.next_back().map(|fault| fault.at)
}
