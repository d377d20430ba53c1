//! The adapter on a real server: what the shared cases do not ask. `ANYBROKER_NATS_URL` says where it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod core;
mod errors;
mod jetstream;
mod made_up;
mod support;
