//! What the services tell each other. Every event names its order, which is its key.

use anybroker::{Event, Key, Message, MessageId, Result};
use serde::{Deserialize, Serialize};

use crate::topics::Place;

/// A step in placing an order: three of them, numbered, so that a handler can tell whether it saw them in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OrderStep {
    pub(crate) order: u32,
    pub(crate) step: u32,
    pub(crate) cents: u32,
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

impl FinalState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            FinalState::Shipped => "shipped",
            FinalState::PaymentDeclined => "payment declined",
            FinalState::OutOfStock => "out of stock",
        }
    }
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

/// What a service tells the next one, in the form in which it is stored until it is published.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fact {
    Paid(Paid),
    Reserved(Reserved),
    Finished(Finished),
}

impl Fact {
    /// Who is told.
    pub(crate) fn place(&self) -> Place {
        match self {
            Fact::Paid(_) => Place::Inventory,
            Fact::Reserved(_) => Place::Shipping,
            Fact::Finished(_) => Place::Office,
        }
    }

    /// The message; its id follows from what it says, so that it is the same one however often it is published.
    pub(crate) fn message(&self) -> Result<Message> {
        let (message, order, what) = match self {
            Fact::Paid(paid) => (Message::event(paid)?, paid.order, "paid"),
            Fact::Reserved(reserved) => (Message::event(reserved)?, reserved.order, "reserved"),
            Fact::Finished(finished) => (Message::event(finished)?, finished.order, "finished"),
        };
        Ok(message.with_id(MessageId::from(format!("order-{order}-{what}"))))
    }
}
