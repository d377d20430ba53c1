//! What a history is held to, as a function of the guarantees.

use anybroker_core::{Certainty, DeliveryLevel, Guarantees, Level, Redelivery, Scope};

use crate::history::{Lease, LossPromise, Mark, Nothing, Order, OrderScope, Promises, RedeliveryMark};

/// The properties that `guarantees` promise.
pub fn promises(guarantees: &Guarantees) -> Promises {
    let at_least_once = guarantees.delivery.value.satisfies(DeliveryLevel::AtLeastOnce);
    let mark = match guarantees.redelivery.value {
        Redelivery::Unmarked => None,
        Redelivery::Flag => Some(Mark::Flag),
        Redelivery::Count => Some(Mark::Count),
    };
    Promises {
        p1: Some(Nothing {}),
        p3: at_least_once.then(LossPromise::default),
        p6: at_least_once
            .then_some(Lease { lease_ms: guarantees.limits.lease.map(|lease| lease.as_millis() as u64) }),
        p6b: guarantees.settlement.value.satisfies(Certainty::Confirmed).then_some(Nothing {}),
        p7: scope(guarantees.ordering.value).map(|scope| Order { scope }),
        p9: mark.map(|mark| RedeliveryMark { mark }),
        ..Promises::default()
    }
}

fn scope(scope: Scope) -> Option<OrderScope> {
    Some(match scope {
        Scope::None => return None,
        Scope::Publisher => OrderScope::Publisher,
        Scope::Key => OrderScope::Key,
        Scope::Partition => OrderScope::Partition,
        Scope::Queue => OrderScope::Queue,
        Scope::Total => OrderScope::Total,
    })
}
