//! What of librdkafka the `rdkafka` crate does not wrap. All unsafe code of the crate is here; decisions 29 and 40 say what it is
//! for.

#![allow(unsafe_code, reason = "librdkafka's C interface; each use says why it is sound")]

mod events;
mod records;

pub(crate) use events::Events;
pub(crate) use records::{Fields, Queue};
