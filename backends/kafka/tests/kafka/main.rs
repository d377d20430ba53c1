//! Against a real broker: `ANYBROKER_KAFKA_URL`, or the one on this machine. Without a broker these tests fail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, and so do their helpers"
)]

mod support;

mod close;
mod consume;
mod groups;
mod mistakes;
mod poison;
mod publish;
mod sharing;
mod topics;
mod transactions;
