//! RabbitMQ's own traits, on real servers of both generations. Without a server the tests fail; nothing is skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // clippy knows only `#[test]` functions as tests

mod support;

mod consuming;
mod errors;
mod operating;
mod publishing;
mod sharing;
