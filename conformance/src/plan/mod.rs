//! What proves each guarantee: one total table, from every value of every row of [`Guarantees`] to the properties and
//! cases that prove it; and what a history is held to by it.
//!
//! Nothing here has a wildcard: a new row of [`Guarantees`], or a new value of one, does not compile until it is said what
//! proves it. A test holds the other way: every case and every property proves something.

mod promises;
mod proofs;

use anybroker_core::{Guarantees, Level};

pub use promises::{at_most_once, delivery_limit, promised, promises, window};

use crate::properties::Property;

/// What shows that a guarantee holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The histories of all cases are held to it.
    Property(Property),
    /// A case of that name shows it.
    Case(&'static str),
    /// Nothing is promised; a case of that name tries to show what may then happen, and notes whether it did.
    Witness(&'static str),
    /// The documentation says so; why one machine cannot prove it.
    Stated(&'static str),
}

/// A value of a row, and what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The row's name, written with `-`.
    pub name: String,
    /// The value's name.
    pub value: String,
    /// What proves it; nothing where nothing is promised.
    pub proofs: &'static [Proof],
}

impl Row {
    fn new(name: &str, value: impl Into<String>, proofs: &'static [Proof]) -> Self {
        Row { name: name.replace('_', "-"), value: value.into(), proofs }
    }
}

macro_rules! rows {
    ($($field:ident)+) => {
        /// The whole table: every value that every row can have.
        pub fn all() -> Vec<Row> {
            let mut rows = Vec::new();
            $(rows.extend(every(stringify!($field), proofs::$field));)+
            rows.extend(proofs::LIMITS.map(|(name, proofs)| Row::new(name, "some", proofs)));
            rows
        }

        /// What proves these guarantees.
        pub fn of(guarantees: &Guarantees) -> Vec<Row> {
            let Guarantees { backend: _, version: _, $($field,)+ limits } = guarantees;
            let mut rows = vec![$(
                Row::new(stringify!($field), $field.value.as_str(), proofs::$field($field.value))
            ),+];
            rows.extend(proofs::limits(limits).into_iter().map(|(name, proofs)| Row::new(name, "some", proofs)));
            rows
        }
    };
}

rows! {
    ordering
    order_after_redelivery
    order_across_consumers
    order_after_member_death
    order_after_failed_publish
    delivery
    unsubscribed_publish
    publish_confirmation
    durability_on_confirm
    acknowledgement
    settlement
    redelivery
    exclusivity
    deduplication
    dead_letter
    fan_out
    replay
    lease
    delay
    transactions
}

fn every<T: Level>(name: &str, proofs: fn(T) -> &'static [Proof]) -> Vec<Row> {
    T::ALL.iter().map(|value| Row::new(name, value.as_str(), proofs(*value))).collect()
}

#[cfg(test)]
mod tests;
