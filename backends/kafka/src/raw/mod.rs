//! What of librdkafka the `rdkafka` crate does not wrap. All unsafe code of the crate is here; decisions 29, 40 and 41 say
//! what it is for.

#![allow(unsafe_code, reason = "librdkafka's C interface; each use says why it is sound")]

mod addresses;
mod events;
mod records;

pub(crate) use addresses::{remind, tell_addresses};
pub(crate) use events::Events;
pub(crate) use records::{Fields, Queue};
