//! The database's errors in the contract's terms.

use anybroker_core::{Error, Fate, Kind};

/// What a failed statement means to a caller that was doing `operation`. A transaction that was not committed had no
/// effect; only the outcome of a commit can be unknown.
pub(crate) fn typed(operation: &'static str, error: sqlx::Error) -> Error {
    let (kind, advice) = match &error {
        sqlx::Error::PoolTimedOut => (Kind::TimedOut, "let the pool have more connections"),
        sqlx::Error::PoolClosed => (Kind::Closed, "the pool was closed"),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => {
            (Kind::Disconnected, "see whether the database is there; try again")
        }
        sqlx::Error::Configuration(_) => (Kind::InvalidConfiguration, "see the database's URL"),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            (Kind::Decode, "the table was changed by hand, or by another version")
        }
        sqlx::Error::Database(error) => of_code(error.code().as_deref().unwrap_or_default()),
        _ => (Kind::Unexpected, "what the database says of it is all that is known"),
    };
    let fate = if operation == "commit" && matches!(kind, Kind::Disconnected | Kind::TimedOut) {
        Fate::Unknown
    } else {
        Fate::NotApplied
    };
    Error::new(kind, operation, "the database failed").advice(advice).with_fate(fate).with_source(error)
}

/// By SQLSTATE or SQLite's result code.
fn of_code(code: &str) -> (Kind, &'static str) {
    match code {
        "40001" | "40P01" | "5" | "6" | "261" | "517" | "55P03" => {
            (Kind::Throttled, "another transaction was in the way: do the transaction again")
        }
        "57P01" | "57P02" | "57P03" | "08006" | "08003" | "08000" | "25P03" => {
            (Kind::Disconnected, "the database ended the connection: try again")
        }
        "28P01" | "28000" | "42501" | "23" | "8" => (Kind::PermissionDenied, "see the role's rights"),
        "3D000" | "3F000" | "42P01" => (Kind::NotFound, "call migrate(), or: anybroker migrate URL"),
        "42703" => (Kind::InvalidConfiguration, "a table was changed by hand"),
        _ => (Kind::Unexpected, "what the database says of it is all that is known"),
    }
}
