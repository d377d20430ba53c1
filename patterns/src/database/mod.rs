//! The databases that the patterns keep their tables in.

mod component;
mod error;
mod names;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

pub(crate) use component::{Component, Table};
pub(crate) use error::typed;
pub use names::Names;
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;

/// What every pattern ships.
const COMPONENTS: &[&Component] = &[
    &crate::outbox::OUTBOX,
    &crate::inbox::INBOX,
    &crate::event_store::COMPONENT,
    &crate::saga::SAGA,
    &crate::projection::COMPONENT,
    &crate::saga::SAGA,
];
