//! The adapter on a real server: ElasticMQ, or whatever ANYBROKER_ELASTICMQ_URL names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod consuming;
mod fan_out;
mod publishing;
mod refusals;
mod support;
mod tls;
mod topics;
