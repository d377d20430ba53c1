//! The worker over the in-memory broker, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod batches;
mod circuit;
mod common;
#[cfg(feature = "endpoint")]
mod endpoint;
mod health;
mod hopeless;
mod lanes;
mod lifecycle;
mod metrics;
mod mute;
#[cfg(feature = "otel")]
mod otel;
mod retries;
mod spans;
mod stores;
mod typed;
