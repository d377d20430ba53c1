//! RabbitMQ's own traits, on real servers of both generations. Without a server the tests fail; nothing is skipped.

mod support;

mod consuming;
mod errors;
mod publishing;
mod sharing;
