//! The worker over the in-memory broker, in virtual time.

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
mod retries;
mod stores;
mod typed;
