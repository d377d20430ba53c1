//! What every adapter is built from, so that order and at-least-once are won once, and tested once.
//!
//! Publishing: [`Intake`] brings the bounded window, held keys and confirmations; the adapter sends each [`Pending`]
//! and says what became of it. Consuming: the adapter's fetch task fills a [`Session`], which hands deliveries out
//! in order, redelivers locally, counts attempts, dead-letters, and tells the adapter through [`Link`] and
//! [`Session::take_acks`] what the broker may forget.

mod confirmations;
mod dead_letter;
mod hash;
mod held_keys;
mod inputs;
mod intake;
mod ledger;
mod link;
mod partition;
mod partitions;
mod retries;
mod session;
mod supervise;
mod tls;
mod window;

pub use confirmations::{Confirmations, Pending};
pub use dead_letter::publishable;
pub use hash::crc32;
pub use inputs::{Head, Inputs, Part};
pub use intake::Intake;
pub use ledger::Room;
pub use link::{Ack, Link};
pub use partition::{AckPlan, Incoming, Returned};
pub use session::{Session, SessionConsumer};
pub use supervise::{Supervision, within};
pub use tls::{causes, tls_failure};
pub use window::Permit;
