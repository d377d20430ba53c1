//! The worker over the in-memory broker, in virtual time.

mod batches;
mod circuit;
mod common;
mod hopeless;
mod lanes;
mod lifecycle;
mod retries;
mod stores;
mod typed;
