//! P8, exclusive: one consumer at a time holds messages of a scope.
//!
//! A delivery is held from its line to its `settle` line, its session's end, a revocation of its partition, or the end
//! of `lease_ms` (less the difference of clocks), whichever comes first. In a group, the holds of different consumers
//! (not sessions) in one scope are disjoint; those that touch are. Dead letters are left out. An opportunity is a pair
//! of holds of different consumers in one scope. Applies where a scope has one consumer at a time; never inconclusive.
//! Source: guarantees §9, P8.

use super::evidence::{Evidence, in_group, violation};
use super::holds;
use super::scope::{Class, class};
use crate::history::{At, DeliveryId, GroupId, History, Name, OrderScope};

/// A delivery in its scope.
type Hold = (GroupId, Class, DeliveryId);

pub(crate) fn check(history: &History, scope: OrderScope, lease: Option<u64>) -> Evidence {
    let mut holds = Vec::new();
    history.for_each_pair(|_, group, deliveries| {
        for id in deliveries {
            let class = class(history, history.delivery(*id), scope);
            holds.extend(class.map(|class| (group, class, *id)));
        }
    });
    holds.sort_unstable();
    let mut evidence = Evidence::default();
    for run in holds.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
        evidence.opportunities(pairs_of_different_consumers(history, run));
        check_scope(history, &mut evidence, run, lease);
    }
    evidence
}

/// What is held longest, and what is held longest by any other consumer.
#[derive(Default)]
struct Longest {
    first: Option<(At, Name, DeliveryId)>,
    other: Option<(At, Name, DeliveryId)>,
}

impl Longest {
    fn add(&mut self, hold: (At, Name, DeliveryId)) {
        let longer = |than: Option<(At, Name, DeliveryId)>| than.is_none_or(|than| hold.0 > than.0);
        let same = self.first.is_some_and(|first| first.1 == hold.1);
        if longer(self.first) {
            if !same {
                self.other = self.first;
            }
            self.first = Some(hold);
        } else if !same && longer(self.other) {
            self.other = Some(hold);
        }
    }

    fn by_another(&self, consumer: Name) -> Option<(At, Name, DeliveryId)> {
        if self.first.is_some_and(|first| first.1 != consumer) { self.first } else { self.other }
    }
}

fn check_scope(history: &History, evidence: &mut Evidence, run: &[Hold], lease: Option<u64>) {
    let mut longest = Longest::default();
    for &(group, class, id) in run {
        let delivery = history.delivery(id);
        let consumer = history.session(delivery.session).consumer;
        if let Some((end, other, held)) = longest.by_another(consumer).filter(|(end, ..)| *end > delivery.at)
        {
            evidence.violation(|| {
                let held = history.delivery(held);
                let (prefix, place) = (class.prefix(history), in_group(history, group));
                let (name, held_name) =
                    (history.message_id(delivery.message), history.message_id(held.message));
                let (consumer, other) = (history.name(consumer), history.name(other));
                let explanation = format!(
                    "{prefix}{name} was delivered to {consumer}{place} while {other} held {held_name}"
                );
                let released = held.settle.filter(|at| *at == end);
                let messages = [held.message, delivery.message];
                violation(history, &messages, &[Some(held.at), Some(delivery.at), released], explanation)
            });
        }
        longest.add((holds::end(history, delivery, lease), consumer, id));
    }
}

fn pairs_of_different_consumers(history: &History, run: &[Hold]) -> u64 {
    let mut consumers: Vec<_> =
        run.iter().map(|hold| history.session(history.delivery(hold.2).session).consumer).collect();
    consumers.sort_unstable();
    let pairs = |count: usize| (count as u64) * (count as u64).saturating_sub(1) / 2;
    let same: u64 = consumers.chunk_by(|one, other| one == other).map(|run| pairs(run.len())).sum();
    pairs(consumers.len()) - same
}
