//! The patterns of an event-driven system that need a database beside the broker, on PostgreSQL and on SQLite: nothing
//! is lost between the two.
//!
//! | module | pattern |
//! |---|---|
//! | [`database`] | where the tables are: connection, names, migrations |
//! | [`inbox`] | lets a message take effect once |
//! | [`outbox`] | publishes what a transaction stages, if it commits |
//! | [`event_store`] | streams of events, and their order for all who follow |
//! | [`schema`] | old data as the newest version of its schema |
//!
//! Which tables are needed is shipped with the code: [`database::Postgres::migrate`] creates them, and whatever uses
//! them checks them first.

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
compile_error!("anybroker-patterns needs a database: enable `postgres`, `sqlite` or both");

pub mod database;
pub mod event_store;
pub mod inbox;
pub mod outbox;
pub mod schema;
