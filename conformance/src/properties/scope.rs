//! Which messages stand in an order or exclude each other.

use crate::history::{Delivery, History, Name, OrderScope};

/// One scope: messages with an equal class, of one group, are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Publisher(Name),
    Key(Name),
    Partition(u32),
    Consumer(Name),
    Everything,
}

/// The scope that a delivered message is in, or `None` if it is in none: a null key, an unknown partition.
pub(crate) fn class(history: &History, delivery: &Delivery, scope: OrderScope) -> Option<Class> {
    let message = history.message(delivery.message);
    match scope {
        OrderScope::Publisher => Some(Class::Publisher(message.publisher)),
        OrderScope::Key => message.key.map(Class::Key),
        OrderScope::Partition => {
            let position = delivery.position().or(message.position());
            position.map(|position| Class::Partition(position.partition))
        }
        OrderScope::Queue | OrderScope::Total => Some(Class::Everything),
    }
}

impl Class {
    /// How an explanation begins, for example `key k1: `.
    pub(crate) fn prefix(self, history: &History) -> String {
        match self {
            Self::Publisher(name) => format!("publisher {}: ", history.name(name)),
            Self::Key(name) => format!("key {}: ", history.name(name)),
            Self::Partition(number) => format!("partition {number}: "),
            Self::Consumer(name) => format!("consumer {}: ", history.name(name)),
            Self::Everything => String::new(),
        }
    }
}
