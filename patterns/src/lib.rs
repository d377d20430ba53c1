//! The patterns of an event-driven system: those that need a database beside the broker, on PostgreSQL and on SQLite, so
//! that nothing is lost between the two; and those that need none.
//!
//! | module | pattern | feature |
//! |---|---|---|
//! | [`catalogue`] | who publishes and who consumes which event | |
//! | [`claim_check`] | large payloads go to an object store, a reference to the broker | `claim-check`, `s3` |
//! | [`database`] | where the tables are: connection, names, migrations | `postgres`, `sqlite` |
//! | [`event_store`] | streams of events, and their order for all who follow | `postgres`, `sqlite` |
//! | [`inbox`] | lets a message take effect once | `postgres`, `sqlite` |
//! | [`outbox`] | publishes what a transaction stages, if it commits | `postgres`, `sqlite` |
//! | [`projection`] | read models, made of the event store's events | `postgres`, `sqlite` |
//! | [`request_reply`] | a request, and the reply to it, over any broker | |
//! | [`saga`] | what takes many transactions, and is done completely or undone | `postgres`, `sqlite` |
//! | [`schema`] | registry and compatibility of schemas; old data as the newest version | `schema` for derived ones, `schema-registry` and `glue` for a server |
//!
//! Which tables are needed is shipped with the code: [`database::Postgres::migrate`] creates them, and whatever uses
//! them checks them first.

pub mod catalogue;
#[cfg(feature = "claim-check")]
pub mod claim_check;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod database;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod event_store;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod failures;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod inbox;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod outbox;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod projection;
pub mod request_reply;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod saga;
pub mod schema;
