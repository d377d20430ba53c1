//! What the services tell each other. Every event names its order, which is its key.

use anybroker::{Event, Key};
use serde::{Deserialize, Serialize};

/// A step in placing an order: three of them, numbered, so that a handler can tell whether it saw them in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OrderStep {
    pub(crate) order: u32,
    pub(crate) step: u32,
    pub(crate) cents: u64,
    pub(crate) items: u32,
}

/// How many steps an order has; the last one places it.
pub(crate) const STEPS: u32 = 3;

/// The payment went through.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Paid {
    pub(crate) order: u32,
    pub(crate) items: u32,
}

/// The items are set aside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reserved {
    pub(crate) order: u32,
}

/// How an order ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) order: u32,
    pub(crate) state: FinalState,
}

/// The states in which an order can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FinalState {
    Shipped,
    PaymentDeclined,
    OutOfStock,
}

macro_rules! events {
    ($($event:ident = $name:literal),+) => {
        $(impl Event for $event {
            const TYPE: &'static str = $name;
            fn key(&self) -> Option<Key> {
                Some(format!("order-{}", self.order).into())
            }
        })+
    };
}

events!(
    OrderStep = "order.step",
    Paid = "order.paid",
    Reserved = "order.reserved",
    Finished = "order.finished"
);
