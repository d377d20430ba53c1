//! What a history is held to, as a function of the guarantees.

use anybroker_core::{
    Certainty, Confirmation, DeadLetter, Deduplication, Delay, DeliveryLevel, Durability, Exclusivity,
    FanOut, Guarantees, Kept, Level, Redelivery, Replay, Scope, Transactions,
};

use crate::history::{
    DeadLetterPromise, Deduplication as Dedup, DeliveryLimit, Exclusive, Lease, LossPromise, Mark, Nothing,
    Order, OrderScope, Positions, Progress, Promises, RedeliveryMark, Window,
};
use crate::properties::Property;

/// The faults that leave the broker's process as it is, and with it what it keeps in memory.
const BESIDE_THE_BROKER: [&str; 9] = [
    "cut",
    "stall",
    "delay",
    "drop",
    "drop_replies",
    "pause",
    "member_kill",
    "member_pause",
    "publisher_kill",
];

/// How soon everything moves again: longer than any backend needs to reconnect, to count a silent member as dead, and
/// to give out anew what it held.
const WITHIN_MS: u64 = 60_000;

/// The properties that `guarantees` promise whatever the application does. What depends on it is added where a case says
/// what it does: [`at_most_once`] (P4), [`delivery_limit`] (P10), [`window`] (P13).
pub fn promises(guarantees: &Guarantees) -> Promises {
    let at_least_once = guarantees.delivery.value.satisfies(DeliveryLevel::AtLeastOnce);
    let positions = guarantees.replay.value.satisfies(Replay::Earliest);
    let order = order(guarantees.ordering.value);
    let window = deduplicated(guarantees);
    let lease_ms = guarantees.limits.lease.map(|lease| lease.as_millis() as u64);
    let mark = mark(guarantees.redelivery.value);
    Promises {
        p1: Some(Nothing {}),
        p2: when(guarantees.publish_confirmation.value.satisfies(Confirmation::Confirmed)),
        p3: at_least_once.then(|| LossPromise { survives: survives(guarantees.durability_on_confirm.value) }),
        p3p: when(at_least_once && positions),
        p4: None,
        p5: when(positions && guarantees.deduplication.value.satisfies(Deduplication::ProducerSession)),
        p6: at_least_once.then_some(Lease { lease_ms }),
        p6b: when(guarantees.settlement.value.satisfies(Certainty::Confirmed)),
        p7: order,
        p7r: order.filter(|_| guarantees.order_after_redelivery.value.satisfies(Kept::Yes)),
        p8: exclusive(guarantees.exclusivity.value).map(|scope| Exclusive { scope, lease_ms }),
        p9: mark.map(|mark| RedeliveryMark { mark }),
        p10: None,
        p11: window,
        p11b: when(window.is_some()),
        p12: when(guarantees.delay.value.satisfies(Delay::Redelivery)),
        p13: None,
        p14: when(at_least_once && guarantees.fan_out.value.satisfies(FanOut::Emulated)),
        p15: when(guarantees.transactions.value.satisfies(Transactions::ReadProcessWrite)),
        p16: positions.then(|| Positions { shared: guarantees.exclusivity.value == Exclusivity::None }),
        p17: at_least_once.then_some(Progress { within_ms: WITHIN_MS }),
    }
}

/// P4 besides, for an application that puts nothing back: what it puts back comes again because it asked.
pub fn at_most_once(guarantees: &Guarantees, promises: Promises) -> Promises {
    let p4 = when(guarantees.delivery.value == DeliveryLevel::AtMostOnce);
    Promises { p4, ..promises }
}

/// P10 besides, for a subscription that gives a message up after so many attempts.
pub fn delivery_limit(guarantees: &Guarantees, limit: u32, promises: Promises) -> Promises {
    let dead_letter = match guarantees.dead_letter.value {
        DeadLetter::None => return promises,
        DeadLetter::AtMostOnce => DeadLetterPromise::AtMostOnce,
        DeadLetter::AtLeastOnce => DeadLetterPromise::AtLeastOnce,
    };
    Promises { p10: Some(DeliveryLimit { limit: limit.into(), dead_letter }), ..promises }
}

/// P13 besides, for a subscription of that prefetch.
pub fn window(guarantees: &Guarantees, prefetch: usize, promises: Promises) -> Promises {
    let bound = guarantees.limits.in_flight.map_or(prefetch, |most| most.min(prefetch)) as u64;
    Promises { p13: Some(Window { bound }), ..promises }
}

/// The properties that these guarantees promise, those among them whose terms an application states.
pub fn promised(guarantees: &Guarantees) -> impl Iterator<Item = Property> + use<> {
    let promises = at_most_once(guarantees, promises(guarantees));
    let promises = window(guarantees, 1, delivery_limit(guarantees, 1, promises));
    Property::ALL.iter().copied().filter(move |property| promises.has(property.name()))
}

fn when(promised: bool) -> Option<Nothing> {
    promised.then_some(Nothing {})
}

fn survives(durability: Durability) -> Option<Vec<String>> {
    match durability {
        Durability::Memory => Some(BESIDE_THE_BROKER.map(str::to_owned).to_vec()),
        // All that can be done to it here.
        Durability::PageCache | Durability::Fsync | Durability::Replicated | Durability::ReplicatedFsync => {
            None
        }
    }
}

fn deduplicated(guarantees: &Guarantees) -> Option<Dedup> {
    match (guarantees.deduplication.value, guarantees.limits.deduplication_window) {
        (Deduplication::Window, Some(window)) => Some(Dedup { window_ms: window.as_millis() as u64 }),
        (Deduplication::Window | Deduplication::ProducerSession | Deduplication::None, _) => None,
    }
}

fn mark(redelivery: Redelivery) -> Option<Mark> {
    match redelivery {
        Redelivery::Unmarked => None,
        Redelivery::Flag => Some(Mark::Flag),
        Redelivery::Count => Some(Mark::Count),
    }
}

fn exclusive(exclusivity: Exclusivity) -> Option<OrderScope> {
    match exclusivity {
        Exclusivity::None | Exclusivity::Fenced => None,
        Exclusivity::Key => Some(OrderScope::Key),
        Exclusivity::Partition => Some(OrderScope::Partition),
        Exclusivity::Queue => Some(OrderScope::Queue),
    }
}

fn order(scope: Scope) -> Option<Order> {
    let scope = match scope {
        Scope::None => return None,
        Scope::Publisher => OrderScope::Publisher,
        Scope::Key => OrderScope::Key,
        Scope::Partition => OrderScope::Partition,
        Scope::Queue => OrderScope::Queue,
        Scope::Total => OrderScope::Total,
    };
    Some(Order { scope })
}
