//! The sagas' tables.

use crate::database::{Component, Table};

pub(crate) const SAGA: Component = Component {
    name: "sagas",
    tables: &[
        Table {
            name: "sagas",
            columns: &[
                "saga",
                "id",
                "version",
                "data",
                "state",
                "resume",
                "reason",
                "started_at",
                "changed_at",
                "deadline_at",
                "due_at",
                "owner",
                "leased_until",
                "fence",
            ],
        },
        Table {
            name: "saga_steps",
            columns: &[
                "saga",
                "id",
                "step",
                "state",
                "attempts",
                "undo_attempts",
                "place",
                "changed_at",
                "due_at",
                "reason",
            ],
        },
        Table { name: "saga_signals", columns: &["saga", "id", "name", "payload", "noted_at"] },
        Table {
            name: "saga_history",
            columns: &["number", "saga", "id", "at", "step", "attempt", "what", "reason"],
        },
    ],
    sqlite_tables: &[],
    postgres: &[include_str!("postgres.sql")],
    sqlite: &[include_str!("sqlite.sql")],
};
