//! What an order must come to, worked out from its number and not from what any service said.

use crate::messages::FinalState;
use crate::outboxes::is_doubled;
use crate::shop::{items, price};

pub(crate) struct Due {
    pub(crate) state: FinalState,
    /// The events of its streams.
    pub(crate) order: Vec<String>,
    pub(crate) payment: Vec<String>,
    pub(crate) stock: Vec<String>,
    /// What is kept of its price.
    pub(crate) earned: u64,
    /// How many of its messages are published twice.
    pub(crate) doubled: u32,
}

impl Due {
    pub(crate) fn of(order: u32) -> Self {
        let state = match (order % 10, order % 12) {
            (3, _) => FinalState::PaymentDeclined,
            (_, 3) => FinalState::OutOfStock,
            _ => FinalState::Shipped,
        };
        let (cents, items) = (price(order), items(order));
        let placed = format!(r#"order.placed {{"cents":{cents},"items":{items}}}"#);
        let (paid, shipped) = ("order.paid {}".to_owned(), "order.shipped {}".to_owned());
        let cancelled = |reason| format!(r#"order.cancelled {{"reason":"{reason}"}}"#);
        let charged = format!(r#"payment.charged {{"cents":{cents}}}"#);
        let refunded = format!(r#"payment.refunded {{"cents":{cents}}}"#);
        let reserved = format!(r#"stock.reserved {{"items":{items}}}"#);
        let (order_stream, payment, stock, messages) = match state {
            // Asked for payment and items, answered twice, and told thrice.
            FinalState::Shipped => (vec![placed, paid, shipped], vec![charged], vec![reserved], 7),
            FinalState::PaymentDeclined => {
                let events = vec![placed, cancelled("payment_declined")];
                (events, vec!["payment.declined {}".to_owned()], Vec::new(), 4)
            }
            FinalState::OutOfStock => {
                let events = vec![placed, paid, cancelled("out_of_stock")];
                (events, vec![charged, refunded], vec!["stock.missing {}".to_owned()], 8)
            }
        };
        let earned = if state == FinalState::Shipped { cents.into() } else { 0 };
        let doubled = if is_doubled(order) { messages } else { 0 };
        Due { state, order: order_stream, payment, stock, earned, doubled }
    }
}
