//! The first line of a history: what to hold it to.

use serde::{Deserialize, Serialize};

use super::wire::{nullable, object};

/// The value of `history` in the header.
pub(crate) const VERSION: &str = "anybroker/1";

/// The header of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format, always `anybroker/1`.
    pub history: String,
    /// The broker and its version, for people.
    pub backend: String,
    /// How far two clocks may be apart, in milliseconds.
    pub epsilon_ms: u64,
    /// What was promised.
    #[serde(deserialize_with = "promises")]
    pub promises: Promises,
}

impl Header {
    /// A header for `backend` that promises `promises`, with clocks at most 50 ms apart.
    pub fn new(backend: impl Into<String>, promises: Promises) -> Self {
        Self { history: VERSION.to_owned(), backend: backend.into(), epsilon_ms: 50, promises }
    }
}

fn promises<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Promises, D::Error> {
    super::wire::Object::deserialize(deserializer).map(|super::wire::Object(promises)| promises)
}

/// Declares `Promises`: a field for each property, in the order of the guarantees document.
macro_rules! promises {
    ($($(#[$doc:meta])* $field:ident $name:literal: $parameters:ty,)*) => {
        /// What a backend promises; a property that is `None` is not promised.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Promises {
            $(
                $(#[$doc])*
                #[serde(
                    rename = $name,
                    default,
                    skip_serializing_if = "Option::is_none",
                    deserialize_with = "object"
                )]
                pub $field: Option<$parameters>,
            )*
        }

        impl Promises {
            /// Whether the property of that name is promised.
            pub fn has(&self, property: &str) -> bool {
                match property {
                    $($name => self.$field.is_some(),)*
                    _ => false,
                }
            }
        }
    };
}

promises! {
    /// P1, no phantom.
    p1 "P1": Nothing,
    /// P2, no failed publish is visible.
    p2 "P2": Nothing,
    /// P3, no loss.
    p3 "P3": LossPromise,
    /// P3p, no loss before something that was delivered.
    p3p "P3p": Nothing,
    /// P4, at most once.
    p4 "P4": Nothing,
    /// P5, no duplicate write.
    p5 "P5": Nothing,
    /// P6, no redelivery without a cause.
    p6 "P6": Lease,
    /// P6b, an acknowledgement is final.
    p6b "P6b": Nothing,
    /// P7, first in first out.
    p7 "P7": Order,
    /// P7r, order kept across redelivery.
    p7r "P7r": Order,
    /// P8, exclusive.
    p8 "P8": Exclusive,
    /// P9, redeliveries are marked.
    p9 "P9": RedeliveryMark,
    /// P10, delivery limit and dead letter.
    p10 "P10": DeliveryLimit,
    /// P11, deduplication.
    p11 "P11": Deduplication,
    /// P11b, no false deduplication.
    p11b "P11b": Nothing,
    /// P12, not before the delay.
    p12 "P12": Nothing,
    /// P13, window of unacknowledged deliveries.
    p13 "P13": Window,
    /// P14, fan-out.
    p14 "P14": Nothing,
    /// P15, transactions are atomic.
    p15 "P15": Nothing,
    /// P16, consistent positions.
    p16 "P16": Positions,
    /// P17, progress.
    p17 "P17": Progress,
}

/// A promise without parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// How positions are read (P16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    /// Several consumers share a partition: the broker deals its messages out, and what one leaves comes to another later.
    /// A position is one message, but reading need not go forward.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

/// Which faults a confirmed message outlives (P3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossPromise {
    /// The kinds of fault; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survives: Option<Vec<String>>,
}

/// How long a delivery stays with its consumer (P6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Milliseconds from the delivery; `None` for as long as the session.
    #[serde(deserialize_with = "nullable")]
    pub lease_ms: Option<u64>,
}

/// Among which messages order is kept (P7, P7r).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The scope.
    pub scope: OrderScope,
}

/// A scope of order or exclusivity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderScope {
    /// Per publisher and topic.
    Publisher,
    /// Per key; messages without a key are outside.
    Key,
    /// Per partition.
    Partition,
    /// Per topic and group.
    Queue,
    /// Everything.
    Total,
}

/// Within which scope only one consumer holds messages (P8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusive {
    /// The scope.
    pub scope: OrderScope,
    /// Milliseconds for which a delivery is held at most; `None` for as long as the session.
    #[serde(deserialize_with = "nullable")]
    pub lease_ms: Option<u64>,
}

/// How a redelivery is marked (P9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedeliveryMark {
    /// The mark.
    pub mark: Mark,
}

/// The mark of a redelivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// `redelivered` is true.
    Flag,
    /// `attempt` counts.
    Count,
}

/// How often a message is delivered, and where it goes then (P10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryLimit {
    /// The greatest number of deliveries to a group.
    pub limit: u64,
    /// What becomes of a message that is given up.
    pub dead_letter: DeadLetterPromise,
}

/// What becomes of a message that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterPromise {
    /// It is dropped.
    None,
    /// It reaches the dead letter topic at most once.
    AtMostOnce,
    /// It reaches the dead letter topic at least once.
    AtLeastOnce,
}

/// For how long a repeated publish is recognised (P11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deduplication {
    /// The window in milliseconds.
    pub window_ms: u64,
}

/// How many unacknowledged deliveries a consumer holds (P13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The greatest number.
    pub bound: u64,
}

/// How soon after the last fault everything moves again (P17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Milliseconds after the last heal.
    pub within_ms: u64,
}
