//! The outbox on both databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, and so do their helpers"
)]

mod basics;
mod crash;
mod liars;
#[cfg(feature = "postgres-log")]
mod log;
mod quarantine;
mod refusals;
mod relays;
#[path = "../support/mod.rs"]
mod support;
mod traps;
