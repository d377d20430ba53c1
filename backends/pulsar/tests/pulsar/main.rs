//! The adapter on a real server: what the shared cases do not ask. `ANYBROKER_PULSAR_URL` says where it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod errors;
mod groups;
mod other_clients;
mod sent_twice;
mod support;
