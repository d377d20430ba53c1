//! The event store's tables.

use crate::database::{Component, Table};

pub(crate) const COMPONENT: Component = Component {
    name: "event store",
    tables: &[
        Table { name: "event_streams", columns: &["stream", "version", "archived_at"] },
        Table {
            name: "events",
            columns: &[
                "position",
                "stream",
                "version",
                "event_id",
                "type",
                "schema_version",
                "occurred_at",
                "correlation",
                "causation",
                "actor",
                "headers",
                "data",
            ],
        },
        Table {
            name: "event_snapshots",
            columns: &["stream", "version", "snapshot_version", "taken_at", "data"],
        },
    ],
    sqlite_tables: &[],
    postgres: &[include_str!("migrations/postgres.sql")],
    sqlite: &[include_str!("migrations/sqlite.sql")],
};
