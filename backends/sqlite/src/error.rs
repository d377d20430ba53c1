//! SQLite's errors in the contract's words.

use anybroker_core::{Error, Fate, Kind};
use rusqlite::{Error as Sql, ErrorCode};

/// Translates a failure of a statement. What it was part of is rolled back; who knows better says so.
pub(crate) fn sql(operation: &'static str) -> impl Fn(Sql) -> Error {
    move |error| {
        let (kind, text, advice) = told(error.sqlite_error_code());
        let mut told = Error::new(kind, operation, text).with_source(error);
        if let Some(advice) = advice {
            told = told.advice(advice);
        }
        told
    }
}

/// Why a transaction ended without a commit, to be told to everybody who took part in it.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It could not be begun or committed.
    Transaction {
        /// What SQLite said.
        error: Sql,
        /// Whether it may have taken effect.
        fate: Fate,
    },
    /// The work itself failed.
    Work(Error),
}

impl Failed {
    /// As an error of `operation`.
    pub(crate) fn error(&self, operation: &'static str) -> Error {
        match self {
            Failed::Work(error) => error.duplicate(),
            Failed::Transaction { error, fate } => {
                let (kind, text, advice) = told(error.sqlite_error_code());
                let told = Error::new(kind, operation, format!("{text}: {error}")).with_fate(*fate);
                advice.map_or_else(|| told.duplicate(), |advice| told.duplicate().advice(advice))
            }
        }
    }

    /// Whether the file was locked: then it is so for everybody.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Failed::Transaction { error, .. }
            if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)))
    }
}

/// The kind, what happened, and what to do.
fn told(code: Option<ErrorCode>) -> (Kind, &'static str, Option<&'static str>) {
    match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Kind::Throttled,
            "another process keeps the file locked",
            Some("see which one is stopped or stuck; `anybroker doctor` lists who has it open"),
        ),
        Some(ErrorCode::DiskFull) => (
            Kind::Throttled,
            "there is no room left for the file",
            Some("free space on its disk; what was confirmed before is safe"),
        ),
        Some(ErrorCode::ReadOnly) => (
            Kind::PermissionDenied,
            "the file or its directory cannot be written",
            Some("this user must be able to write the file and to create files beside it"),
        ),
        Some(
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied,
        ) => (
            Kind::PermissionDenied,
            "the file cannot be opened",
            Some("this user must be able to write the file and to create files beside it"),
        ),
        Some(ErrorCode::NotADatabase) => {
            (Kind::InvalidConfiguration, "the file is no SQLite database", Some("name another file"))
        }
        Some(ErrorCode::DatabaseCorrupt) => (
            Kind::Unexpected,
            "the file is damaged",
            Some(
                "stop every process that uses it, keep a copy, and restore a backup or try `sqlite3 FILE .recover`",
            ),
        ),
        Some(ErrorCode::SystemIoFailure) => {
            (Kind::Unexpected, "the disk failed", Some("see the operating system's log"))
        }
        _ => (Kind::Unexpected, "SQLite failed", None),
    }
}

/// The thread that would have done it has ended.
pub(crate) fn ended(operation: &'static str) -> Error {
    Error::new(Kind::Closed, operation, "the broker handle is closed")
}
