//! The worker over the in-memory broker, in virtual time.

mod common;
mod hopeless;
mod lanes;
mod lifecycle;
mod retries;
mod typed;
