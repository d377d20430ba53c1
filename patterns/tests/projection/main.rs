//! Projections on both databases. PostgreSQL is found by `ANYBROKER_POSTGRES_URL`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, and so do their helpers"
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "not every test uses all of the helpers")]
mod support;

mod model;

mod applying;
mod crashing;
mod parking;
mod rebuilding;
mod waiting;
