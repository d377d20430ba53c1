//! The event store on both databases. PostgreSQL is found by `ANYBROKER_POSTGRES_URL`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod support;

mod append;
mod appender;
mod bad_input;
mod exporting;
mod reading;
mod repository;
mod subscribing;
mod traps;
