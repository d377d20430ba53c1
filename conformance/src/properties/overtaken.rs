//! Deliveries that were overtaken: their member stood still with them in its hands.

use crate::history::{Delivery, History};

/// Kinds of `fault` lines at which a member stands still, or hears nothing, and is not told that others have its messages.
const STANDING: [&str; 2] = ["pause", "stall"];

/// Whether `delivery`, seen after `before`, may have left the broker before it: it went to another session, which had been
/// open since before such a fault, and the fault came before `before`. No client can tell. What was sent first neither is
/// a redelivery nor comes after an acknowledgement.
pub(crate) fn overtaken(history: &History, before: &Delivery, delivery: &Delivery) -> bool {
    let opened = history.session(delivery.session).opened;
    let standing = |kind| STANDING.contains(&history.name(kind));
    before.session != delivery.session
        && history
            .faults()
            .iter()
            .any(|fault| opened < fault.at && fault.at < before.at && standing(fault.kind))
}
