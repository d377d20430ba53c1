//! Histories in the format `anybroker-history/1`: read, written, and held in memory compactly.
//!
//! A history is a file of JSON Lines. The first line is the [`Header`], which says what was promised; every other line
//! is an [`Event`] with the nanoseconds of one monotonic clock, in the order in which one recorder saw them.
//! [`read`] refuses whatever the format does not allow, naming the line and the reason; [`HistoryWriter`] writes it.

mod assemble;
mod error;
mod event;
mod header;
mod ids;
mod intern;
mod lines;
mod model;
mod nesting;
mod order;
mod read;
mod sketch;
mod wire;
mod write;

pub use error::{HistoryError, Reason};
pub use event::{
    Assign, Close, CloseCause, Deliver, Drained, Event, Evicted, Fault, Open, Outcome, Publish, Published,
    Settle, SettleVerdict, Settled, Start, TransactionEnd, TransactionStep,
};
pub use header::{
    DeadLetterPromise, Deduplication, DeliveryLimit, Exclusive, Header, Lease, LossPromise, Mark, Nothing,
    Order, OrderScope, Positions, Progress, Promises, RedeliveryMark, Window,
};
pub use lines::MAX_LINE;
pub use model::History;
pub use read::read;
pub use sketch::Sketch;
pub use wire::{Position, Text};
pub use write::HistoryWriter;

pub(crate) use ids::{At, DeliveryId, GroupId, MessageId, Name, SessionId, TransactionId};
pub(crate) use model::{Delivery, Difference, Message, Transaction, nanos};
