//! The worker over the in-memory broker, in virtual time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and so do their helpers")]

mod batches;
mod circuit;
mod common;
mod hopeless;
mod lanes;
mod lifecycle;
mod retries;
mod stores;
mod testing;
mod typed;
