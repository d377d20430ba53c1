//! The outbox on both databases.

mod basics;
mod liars;
mod quarantine;
mod refusals;
mod relays;
mod support;
mod traps;
