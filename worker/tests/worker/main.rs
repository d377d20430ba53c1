//! The worker over the in-memory broker, in virtual time.

mod batches;
mod common;
mod hopeless;
mod lanes;
mod lifecycle;
mod retries;
mod typed;
