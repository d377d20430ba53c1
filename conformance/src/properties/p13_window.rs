//! P13, window of unacknowledged deliveries: a consumer holds at most so many.
//!
//! A delivery is unsettled from its line to its `settle` line, the end of its session, of its hold on the partition or
//! of its lease (P6's `lease_ms`), or the next delivery of its message to the group. No consumer of a group has more
//! than `bound` unsettled deliveries. An opportunity is a delivery. Applies where there is a prefetch limit; never
//! inconclusive. Source: guarantees §9, P13.

use super::evidence::{Evidence, violation};
use super::holds;
use crate::history::{At, DeliveryId, GroupId, History, Name};

/// How many of the held messages a counterexample names.
const NAMED: usize = 8;

/// A delivery with its consumer and the event that ends it.
type Held = (GroupId, Name, DeliveryId, At);

pub(crate) fn check(history: &History, bound: u64) -> Evidence {
    let mut held = held(history);
    held.sort_unstable();
    let mut evidence = Evidence::default();
    for run in held.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
        check_consumer(history, &mut evidence, run, bound);
    }
    evidence
}

fn held(history: &History) -> Vec<Held> {
    let mut all = Vec::with_capacity(history.delivery_count());
    let mut add = |run: &[DeliveryId]| {
        let next = run[1..].iter().map(|id| history.delivery(*id).at).map(Some).chain([None]);
        for (id, next) in run.iter().zip(next) {
            let delivery = history.delivery(*id);
            let end = holds::end(history, delivery, history.lease());
            let consumer = history.session(delivery.session).consumer;
            all.push((history.group_of(delivery), consumer, *id, next.map_or(end, |next| next.min(end))));
        }
    };
    history.for_each_pair(|_, _, run| add(run));
    let dead_letters = history.all_deliveries().filter(|(_, delivery)| delivery.dead_letter);
    dead_letters.for_each(|(id, _)| add(&[id]));
    all
}

/// The deliveries to one consumer of a group, in their order.
fn check_consumer(history: &History, evidence: &mut Evidence, run: &[Held], bound: u64) {
    let mut ends: Vec<_> = run.iter().map(|held| held.3).collect();
    ends.sort_unstable();
    let mut ended = 0;
    for (i, (_, consumer, id, _)) in run.iter().enumerate() {
        let at = history.delivery(*id).at;
        while ends.get(ended).is_some_and(|end| *end <= at) {
            ended += 1;
        }
        evidence.opportunity();
        let unsettled = (i + 1).saturating_sub(ended);
        if unsettled as u64 > bound {
            evidence.violation(|| {
                let still = run[..=i].iter().rev().filter(|held| held.3 > at).take(NAMED);
                let still: Vec<_> = still.map(|held| history.delivery(held.2)).collect();
                let messages: Vec<_> = still.iter().rev().map(|delivery| delivery.message).collect();
                let events: Vec<_> = still.iter().map(|delivery| Some(delivery.at)).collect();
                let consumer = history.name(*consumer);
                let explanation =
                    format!("{consumer} held {unsettled} unsettled deliveries, more than {bound}");
                violation(history, &messages, &events, explanation)
            });
        }
    }
}
