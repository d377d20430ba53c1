//! The worker over the in-memory broker, in virtual time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and so do their helpers")]

mod batches;
mod circuit;
mod common;
#[cfg(feature = "endpoint")]
mod endpoint;
mod exactly_once;
mod health;
mod hopeless;
mod lanes;
mod lifecycle;
mod metrics;
mod mute;
#[cfg(feature = "otel")]
mod otel;
mod portions;
mod retries;
mod spans;
mod stores;
mod testing;
mod typed;
