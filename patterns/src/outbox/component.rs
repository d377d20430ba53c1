//! The outbox's tables.

use crate::database::{Component, Table};

pub(crate) const OUTBOX: Component = Component {
    name: "outbox",
    tables: &[
        Table {
            name: "outbox",
            columns: &["id", "topic", "key", "message_id", "attributes", "payload", "staged_at"],
        },
        Table {
            name: "outbox_quarantine",
            columns: &[
                "id",
                "topic",
                "key",
                "message_id",
                "attributes",
                "payload",
                "staged_at",
                "quarantined_at",
                "reason",
                "behind",
                "retry",
            ],
        },
    ],
    sqlite_tables: &[Table { name: "outbox_relay", columns: &["owner", "until"] }],
    postgres: &[include_str!("postgres.sql")],
    sqlite: &[include_str!("sqlite.sql")],
};
