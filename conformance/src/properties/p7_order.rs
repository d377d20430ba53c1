//! P7, first in first out: messages are first delivered in the order in which they were published.
//!
//! Let m1 and m2 be messages of one topic, both with outcome ok and delivered to group g, in one scope: the same
//! publisher, an equal key that is not null, an equal partition, or any (queue, total). If m1's `publish` came before
//! m2's and both have one publisher, or m1's `published` came before m2's `publish` (scopes other than publisher), then
//! the first delivery of m1 in g comes before the first of m2. In scope queue only first deliveries to one consumer are
//! compared. A message whose first observed delivery is marked as a redelivery is not compared: its first delivery died
//! unseen. Dead letters are left out. An opportunity is such a pair. Applies in the declared scope; never inconclusive.
//! Source: guarantees §9, P7.

use super::evidence::{Evidence, in_group, violation};
use super::fate::confirmed;
use super::scope::{Class, class};
use crate::history::{At, DeliveryId, GroupId, History, MessageId, Name, OrderScope};

/// A message and its first delivery in a group.
#[derive(Clone, Copy, Debug)]
struct First {
    message: MessageId,
    publisher: Name,
    publish: At,
    confirmed: At,
    delivered: At,
}

pub(crate) fn check(history: &History, scope: OrderScope) -> Evidence {
    let mut firsts = first_deliveries(history, scope);
    firsts.sort_unstable();
    let mut evidence = Evidence::default();
    for run in firsts.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
        let mut messages: Vec<_> = run.iter().filter_map(|(_, _, id)| first(history, *id)).collect();
        let mut line = Line { history, group: run[0].0, class: run[0].1, evidence: &mut evidence };
        line.check(&mut messages, scope);
    }
    evidence
}

/// The first deliveries that are compared, with group and scope.
fn first_deliveries(history: &History, scope: OrderScope) -> Vec<(GroupId, Class, DeliveryId)> {
    let mut firsts = Vec::new();
    history.for_each_pair(|message, group, deliveries| {
        let delivery = history.delivery(deliveries[0]);
        let message = history.message(message);
        let compared = !delivery.marked() && message.topic == history.group(group).topic;
        if compared && confirmed(history, message).is_some() {
            let class = match scope {
                OrderScope::Queue => Some(Class::Consumer(history.session(delivery.session).consumer)),
                _ => class(history, delivery, scope),
            };
            firsts.extend(class.map(|class| (group, class, deliveries[0])));
        }
    });
    firsts
}

fn first(history: &History, id: DeliveryId) -> Option<First> {
    let delivery = history.delivery(id);
    let message = history.message(delivery.message);
    let (publish, confirmed) = message.publish.zip(confirmed(history, message))?;
    let publisher = message.publisher;
    Some(First { message: delivery.message, publisher, publish, confirmed, delivered: delivery.at })
}

/// The messages of one scope in one group, which are to be in line.
struct Line<'a> {
    history: &'a History,
    group: GroupId,
    class: Class,
    evidence: &'a mut Evidence,
}

impl Line<'_> {
    fn check(&mut self, messages: &mut [First], scope: OrderScope) {
        messages.sort_unstable_by_key(|first| (first.publisher, first.publish));
        let real_time = scope != OrderScope::Publisher;
        let mut opportunities = 0;
        for run in messages.chunk_by(|one, other| one.publisher == other.publisher) {
            opportunities += pairs(run.len());
            if real_time {
                opportunities -= sequential(run);
            }
            self.one_publisher(run);
        }
        if real_time {
            opportunities += sequential(messages);
            self.several_publishers(messages);
        }
        self.evidence.opportunities(opportunities);
    }

    /// Messages of one publisher in the order of their publishing: none may be delivered before one above it.
    fn one_publisher(&mut self, messages: &[First]) {
        let mut latest: Option<&First> = None;
        for second in messages {
            match latest {
                Some(first) if first.delivered > second.delivered => {
                    self.violation(first, second, first.publish)
                }
                _ => latest = Some(second),
            }
        }
    }

    /// Messages of several publishers: none may be delivered before one of another that was confirmed when it was
    /// published.
    fn several_publishers(&mut self, messages: &mut [First]) {
        let mut confirmed = messages.to_vec();
        confirmed.sort_unstable_by_key(|first| first.confirmed);
        messages.sort_unstable_by_key(|first| first.publish);
        let mut confirmed = confirmed.iter().peekable();
        let mut latest = Latest::default();
        for second in messages.iter() {
            while let Some(first) = confirmed.next_if(|first| first.confirmed < second.publish) {
                latest.add(first);
            }
            if let Some(first) =
                latest.of_another(second.publisher).filter(|it| it.delivered > second.delivered)
            {
                self.violation(first, second, first.confirmed);
            }
        }
    }

    fn violation(&mut self, first: &First, second: &First, before: At) {
        let (history, class, group) = (self.history, self.class, self.group);
        self.evidence.violation(|| {
            let (name1, name2) = (history.message_id(first.message), history.message_id(second.message));
            let (prefix, place) = (class.prefix(history), in_group(history, group));
            let explanation = format!("{prefix}{name2} first delivered before {name1}{place}");
            let events = [before, second.publish, first.delivered, second.delivered].map(Some);
            violation(history, &[first.message, second.message], &events, explanation)
        });
    }
}

/// The message delivered last, and the one delivered last of the other publishers.
#[derive(Default)]
struct Latest<'a> {
    first: Option<&'a First>,
    second: Option<&'a First>,
}

impl<'a> Latest<'a> {
    fn add(&mut self, message: &'a First) {
        let later = |other: Option<&First>| other.is_none_or(|other| message.delivered > other.delivered);
        if later(self.first) {
            if self.first.is_some_and(|first| first.publisher != message.publisher) {
                self.second = self.first;
            }
            self.first = Some(message);
        } else if self.first.is_some_and(|first| first.publisher != message.publisher) && later(self.second) {
            self.second = Some(message);
        }
    }

    fn of_another(&self, publisher: Name) -> Option<&'a First> {
        if self.first.is_some_and(|first| first.publisher != publisher) { self.first } else { self.second }
    }
}

/// How many pairs there are among so many.
fn pairs(count: usize) -> u64 {
    let count = count as u64;
    count * count.saturating_sub(1) / 2
}

/// How many pairs there are of which one was confirmed before the other was published.
fn sequential(messages: &[First]) -> u64 {
    let mut confirmed: Vec<_> = messages.iter().map(|first| first.confirmed).collect();
    confirmed.sort_unstable();
    let before = |first: &First| confirmed.partition_point(|at| *at < first.publish) as u64;
    messages.iter().map(before).sum()
}
