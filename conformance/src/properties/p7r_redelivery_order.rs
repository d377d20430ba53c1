//! P7r, order kept across redelivery: what comes after a message waits until it has come again.
//!
//! Let d and d2 be two deliveries of one broker record of m1 to a group, d not acknowledged. The interval between them
//! begins when the `settled` ok of d's nack or release, the end of d's session or the end of its lease (P6's
//! `lease_ms`, clocks being as far apart as they may) is recorded, whichever is first, and ends with d2. In it no m2 of
//! m1's scope that comes after m1 (published later by the same publisher, or at a higher offset of the same partition)
//! is delivered to the group. An opportunity is such an interval. Applies where at most one message of a scope is in
//! flight; never inconclusive. Source: guarantees §9, P7r.

use std::collections::BTreeSet;

use super::evidence::{Evidence, in_group, violation};
use super::peaks::Peaks;
use super::scope::{Class, class};
use crate::history::{At, Delivery, DeliveryId, GroupId, History, Name, OrderScope, Outcome, SettleVerdict};

/// From when on a delivery was to come again, and the delivery that then came.
struct Interval {
    first: DeliveryId,
    second: DeliveryId,
    class: Class,
    returned: At,
}

pub(crate) fn check(history: &History, scope: OrderScope) -> Evidence {
    let intervals = intervals(history, scope);
    let group = |id| history.group_of(history.delivery(id));
    let scopes = intervals.iter().map(|it| (group(it.first), it.class)).collect();
    let after = After::new(history, scope, &scopes);
    let mut evidence = Evidence::default();
    for Interval { first, second, class, returned } in intervals {
        evidence.opportunity();
        let until = history.delivery(second).at;
        if let Some(overtaking) = after.between(first, (group(first), class), returned, until) {
            overtaken(
                history,
                &mut evidence,
                class,
                [first, overtaking, second].map(|id| history.delivery(id)),
            );
        }
    }
    evidence
}

fn intervals(history: &History, scope: OrderScope) -> Vec<Interval> {
    let mut intervals = Vec::new();
    history.for_each_record(|_, _, record| {
        for pair in record.windows(2) {
            let (first, second) = (history.delivery(pair[0]), history.delivery(pair[1]));
            let interval = class(history, first, scope).zip(returned(history, first, second.at));
            let (first, second) = (pair[0], pair[1]);
            intervals.extend(interval.map(|(class, returned)| Interval { first, second, class, returned }));
        }
    });
    intervals
}

fn overtaken(
    history: &History,
    evidence: &mut Evidence,
    class: Class,
    [first, overtaking, second]: [&Delivery; 3],
) {
    evidence.violation(|| {
        let (name, other) = (history.message_id(first.message), history.message_id(overtaking.message));
        let place = in_group(history, history.group_of(first));
        let prefix = class.prefix(history);
        let explanation = format!("{prefix}{other} was delivered{place} while {name} was to come again");
        let closed = history.session(first.session).closed.map(|(at, _)| at).filter(|at| *at < second.at);
        let settled = first.settled.filter(|at| *at < second.at);
        let events = [Some(first.at), settled.or(closed), Some(overtaking.at), Some(second.at)];
        violation(history, &[first.message, overtaking.message], &events, explanation)
    });
}

/// The last event before it is certain that a delivery went back, if that is before `end`.
fn returned(history: &History, delivery: &Delivery, end: At) -> Option<At> {
    if delivery.was(SettleVerdict::Ack) || delivery.was(SettleVerdict::DeadLetter) {
        return None;
    }
    let closed = history.session(delivery.session).closed.map(|(at, _)| at);
    let settled = delivery.settled.filter(|_| delivery.outcome == Some(Outcome::Ok));
    let lapsed = history.lease().map(|lease| {
        let lease = lease.saturating_add(history.epsilon());
        let over = history.first_from(history.time(delivery.at).saturating_add(lease));
        At::new(over.index().saturating_sub(1))
    });
    let first = [closed, settled, lapsed].into_iter().flatten().min();
    first.filter(|first| *first < end)
}

/// Finds deliveries of messages that come after another.
struct After<'a> {
    history: &'a History,
    by_publish: Peaks<(GroupId, Class, Name), DeliveryId>,
    by_offset: Peaks<(GroupId, Class, u32), DeliveryId>,
}

impl<'a> After<'a> {
    /// Of the deliveries in these scopes.
    fn new(history: &'a History, scope: OrderScope, scopes: &BTreeSet<(GroupId, Class)>) -> Self {
        let (mut by_publish, mut by_offset) = (Vec::new(), Vec::new());
        for (id, delivery) in history.all_deliveries().filter(|(_, delivery)| !delivery.dead_letter) {
            let message = history.message(delivery.message);
            let Some((class, publish)) = class(history, delivery, scope).zip(message.publish) else {
                continue;
            };
            let group = history.group_of(delivery);
            if !scopes.contains(&(group, class)) {
                continue;
            }
            by_publish.push(((group, class, message.publisher), delivery.at, publish.index() as u64, id));
            let position = delivery.position();
            by_offset.extend(position.map(|it| ((group, class, it.partition), delivery.at, it.offset, id)));
        }
        Self { history, by_publish: Peaks::new(by_publish), by_offset: Peaks::new(by_offset) }
    }

    /// A delivery in a scope between two events of a message that comes after the one of `delivery`.
    fn between(
        &self,
        delivery: DeliveryId,
        (group, class): (GroupId, Class),
        after: At,
        before: At,
    ) -> Option<DeliveryId> {
        let delivery = self.history.delivery(delivery);
        let message = self.history.message(delivery.message);
        let publish = message.publish?.index() as u64;
        let latest = self.by_publish.between((group, class, message.publisher), after, before);
        let later = latest.filter(|(_, value, _)| *value > publish).map(|(_, _, id)| id);
        later.or_else(|| {
            let position = delivery.position()?;
            let highest = self.by_offset.between((group, class, position.partition), after, before);
            highest.filter(|(_, value, _)| *value > position.offset).map(|(_, _, id)| id)
        })
    }
}
