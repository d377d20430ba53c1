//! What may cause a message to be delivered again.

use super::peaks::Peaks;
use super::scope::{Class, class};
use crate::history::{At, Delivery, GroupId, History, MessageId, OrderScope, Outcome, SettleVerdict};

/// The causes of redeliveries in a history.
#[derive(Debug)]
pub(crate) struct Causes<'a> {
    history: &'a History,
    scopes: Vec<OrderScope>,
    /// Nacks and releases of each message in each group.
    returns: Vec<(GroupId, MessageId, At)>,
    /// The same by promised scope, those of messages published earlier having greater values.
    by_publish: Peaks<(GroupId, Class), ()>,
    /// The same by partition, those of lower offsets having greater values.
    by_offset: Peaks<(GroupId, u32), ()>,
    /// The same by promised scope, those that were delivered earlier having greater values: the only order that shows
    /// between different publishers where the broker tells no positions.
    by_delivery: Peaks<(GroupId, Class), ()>,
}

impl<'a> Causes<'a> {
    pub(crate) fn new(history: &'a History) -> Self {
        let scopes = promised_scopes(history);
        let (mut returns, mut by_publish) = (Vec::new(), Vec::new());
        let (mut by_offset, mut by_delivery) = (Vec::new(), Vec::new());
        let settled = history.all_deliveries().filter(|(_, delivery)| returned(history, delivery));
        let settled = settled.filter_map(|(_, delivery)| Some((delivery, delivery.settle?)));
        for (delivery, at) in settled.chain(history.given_up()) {
            let group = history.group_of(delivery);
            returns.push((group, delivery.message, at));
            for scope in &scopes {
                let Some(class) = class(history, delivery, *scope) else { continue };
                let publish = history.message(delivery.message).publish;
                by_publish.extend(publish.map(|publish| ((group, class), at, before(publish), ())));
                if delivery.position().is_none() {
                    by_delivery.push(((group, class), at, before(delivery.at), ()));
                }
            }
            let position = delivery.position();
            by_offset.extend(position.map(|it| ((group, it.partition), at, u64::MAX - it.offset, ())));
        }
        returns.sort_unstable();
        Self {
            history,
            scopes,
            returns,
            by_publish: Peaks::new(by_publish),
            by_offset: Peaks::new(by_offset),
            by_delivery: Peaks::new(by_delivery),
        }
    }

    /// Whether there was a cause between two deliveries of one message to one group: a nack, release or refused
    /// acknowledgement of it or of an earlier message of its scope, a change in the group, a fault, or the end of the lease.
    pub(crate) fn between(&self, first: &Delivery, second: &Delivery) -> bool {
        let group = self.history.group_of(first);
        let (after, until) = (first.at, second.at);
        self.history.disturbed_between(group, after, until)
            || self.moves(first, second)
            || self.history.fault_between(after, until)
            || self.lapsed(first, second)
            || self.returned(group, first.message, after, until)
            || self.earlier_by_publish(first, after, until)
            || self.earlier_by_offset(first, after, until)
            || self.earlier_by_delivery(first, after, until)
    }

    /// Whether a partition may just have moved between the sessions of two deliveries: the one that had it hands out what it
    /// has until it hears of it.
    fn moves(&self, first: &Delivery, second: &Delivery) -> bool {
        let exclusive = self.history.header().promises.p8.is_some();
        if first.session == second.session || exclusive || first.position().is_none() {
            return false;
        }
        let changed = self.history.disturbed_before(self.history.group_of(first), first.at);
        changed.is_some_and(|changed| self.history.elapsed(changed, second.at) <= HEARD)
    }

    fn lapsed(&self, first: &Delivery, second: &Delivery) -> bool {
        self.history.lease().is_some_and(|lease| second.at >= super::holds::lapse(self.history, first, lease))
    }

    fn returned(&self, group: GroupId, message: MessageId, after: At, until: At) -> bool {
        let next = self.returns.partition_point(|each| *each <= (group, message, after));
        self.returns.get(next).is_some_and(|each| *each < (group, message, until))
    }

    fn earlier_by_publish(&self, delivery: &Delivery, after: At, until: At) -> bool {
        let group = self.history.group_of(delivery);
        let Some(publish) = self.history.message(delivery.message).publish else { return false };
        self.scopes.iter().filter_map(|scope| class(self.history, delivery, *scope)).any(|class| {
            let earliest = self.by_publish.between((group, class), after, until);
            earliest.is_some_and(|(_, value, ())| value > before(publish))
        })
    }

    fn earlier_by_delivery(&self, delivery: &Delivery, after: At, until: At) -> bool {
        if delivery.position().is_some() {
            return false;
        }
        let group = self.history.group_of(delivery);
        self.scopes.iter().filter_map(|scope| class(self.history, delivery, *scope)).any(|class| {
            let earliest = self.by_delivery.between((group, class), after, until);
            earliest.is_some_and(|(_, value, ())| value > before(delivery.at))
        })
    }

    fn earlier_by_offset(&self, delivery: &Delivery, after: At, until: At) -> bool {
        let group = self.history.group_of(delivery);
        delivery.position().is_some_and(|position| {
            let lowest = self.by_offset.between((group, position.partition), after, until);
            lowest.is_some_and(|(_, value, ())| value > u64::MAX - position.offset)
        })
    }
}

/// How long a session may take to hear that a partition is no longer its own, in nanoseconds.
const HEARD: u64 = 5_000_000_000;

/// The scopes in which the history promises an order or exclusivity.
fn promised_scopes(history: &History) -> Vec<OrderScope> {
    let promises = &history.header().promises;
    let scopes = [
        promises.p7.map(|order| order.scope),
        promises.p7r.map(|order| order.scope),
        promises.p8.map(|exclusive| exclusive.scope),
    ];
    let mut distinct = Vec::new();
    for scope in scopes.into_iter().flatten() {
        if !distinct.contains(&scope) {
            distinct.push(scope);
        }
    }
    distinct
}

/// Whether a delivery was nacked or released, and not in vain, or acknowledged in vain, or settled in a transaction that is
/// not known to have been committed.
fn returned(history: &History, delivery: &Delivery) -> bool {
    let undone = |id| history.transaction(id).committed().is_none();
    delivery.was(SettleVerdict::Nack)
        || delivery.was(SettleVerdict::Release)
        || (delivery.verdict == Some(SettleVerdict::Ack) && delivery.outcome == Some(Outcome::Failed))
        || delivery.transaction.is_some_and(undone)
}

/// A value that is the greater the earlier the event.
fn before(at: At) -> u64 {
    u64::MAX - at.index() as u64
}
