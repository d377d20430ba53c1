//! The projections' tables.

use crate::database::{Component, Names, Table};

pub(crate) const COMPONENT: Component = Component {
    name: "projections",
    tables: &[
        Table {
            name: "projections",
            columns: &["name", "generation", "version", "partitions", "state", "tables", "created_at"],
        },
        Table {
            name: "projection_checkpoints",
            columns: &["name", "generation", "part", "position", "updated_at"],
        },
        Table {
            name: "projection_parked",
            columns: &["name", "generation", "position", "stream", "version", "reason", "parked_at"],
        },
    ],
    sqlite_tables: &[],
    postgres: &[include_str!("postgres.sql")],
    sqlite: &[include_str!("sqlite.sql")],
};

/// Fills in the names of the projections' tables and of the events.
pub(super) fn fill(names: &Names, sql: &str) -> String {
    names.fill(&COMPONENT.fill(names, sql), &["events"])
}
