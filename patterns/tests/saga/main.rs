//! Sagas on both databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, and so do their helpers"
)]

mod back;
mod changed;
mod correlation;
mod crash;
mod forward;
mod parked;
mod sharing;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "not every test uses all of the helpers")]
mod support;
mod waiting;
mod world;
