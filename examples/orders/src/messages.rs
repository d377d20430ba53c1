//! What the services tell each other. Every message names its order, which is its key.

use anybroker::{Event, Key};
use serde::{Deserialize, Serialize};

/// To the payment service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PaymentRequest {
    pub(crate) order: u32,
    pub(crate) action: PaymentAction,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentAction {
    Charge { cents: u32 },
    Refund,
}

/// To the inventory service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StockRequest {
    pub(crate) order: u32,
    pub(crate) action: StockAction,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StockAction {
    Reserve { items: u32 },
    Release,
}

/// What the two answer, to fulfilment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) order: u32,
    pub(crate) answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    PaymentTaken,
    PaymentDeclined,
    ItemsReserved,
    OutOfStock,
}

impl Answer {
    /// What the saga waits for.
    pub(crate) const fn signal(self) -> &'static str {
        match self {
            Answer::PaymentTaken => "payment.taken",
            Answer::PaymentDeclined => "payment.declined",
            Answer::ItemsReserved => "items.reserved",
            Answer::OutOfStock => "items.out-of-stock",
        }
    }
}

/// To whoever wants to know what happens to orders: each order's events, numbered, so that a reader can tell whether it
/// sees them all and in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OrderNews {
    pub(crate) order: u32,
    pub(crate) version: u64,
    /// How the order ended, if it did.
    pub(crate) ended: Option<FinalState>,
}

/// The states in which an order can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FinalState {
    Shipped,
    PaymentDeclined,
    OutOfStock,
}

impl FinalState {
    pub(crate) const ALL: [FinalState; 3] =
        [FinalState::Shipped, FinalState::PaymentDeclined, FinalState::OutOfStock];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            FinalState::Shipped => "shipped",
            FinalState::PaymentDeclined => "payment declined",
            FinalState::OutOfStock => "out of stock",
        }
    }
}

macro_rules! messages {
    ($($message:ident = $name:literal),+) => {
        $(impl Event for $message {
            const TYPE: &'static str = $name;
            fn key(&self) -> Option<Key> {
                Some(order_id(self.order).into())
            }
        })+
    };
}

messages!(
    PaymentRequest = "payment.request",
    StockRequest = "stock.request",
    Reply = "fulfilment.reply",
    OrderNews = "order.news"
);

/// An order's name: the key of its messages, the name of its stream and the id of its saga.
pub(crate) fn order_id(order: u32) -> String {
    format!("order-{order}")
}
