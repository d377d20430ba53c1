//! What happened on the way, counted in the transactions in which it happened.

use anybroker::Result;
use rusqlite::{OptionalExtension, Transaction, params};

use super::database;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Delivered,
    Redelivered,
    Retried,
    Injected,
    /// Messages of the shop of which the broker said that it had them already.
    Recognised,
    Suppressed,
    /// Suppressed, and handled before the crash.
    Repeated,
    Violations,
    DeadLetters,
}

impl Count {
    fn name(self) -> &'static str {
        match self {
            Count::Delivered => "delivered",
            Count::Redelivered => "redelivered",
            Count::Retried => "retried",
            Count::Injected => "injected",
            Count::Recognised => "recognised",
            Count::Suppressed => "suppressed",
            Count::Repeated => "repeated",
            Count::Violations => "violations",
            Count::DeadLetters => "dead_letters",
        }
    }
}

/// Adds to a count.
pub(crate) fn count(transaction: &Transaction<'_>, what: Count, by: u32) -> Result<()> {
    const SQL: &str = "INSERT INTO counts (name, value) VALUES (?1, ?2)
                       ON CONFLICT (name) DO UPDATE SET value = value + excluded.value";
    if by > 0 {
        let mut statement = transaction.prepare_cached(SQL).map_err(database)?;
        statement.execute(params![what.name(), by]).map_err(database)?;
    }
    Ok(())
}

/// Reads a count.
pub(crate) fn counted(transaction: &Transaction<'_>, what: Count) -> Result<u32> {
    let sql = "SELECT value FROM counts WHERE name = ?1";
    let value = transaction.query_row(sql, [what.name()], |row| row.get(0)).optional();
    Ok(value.map_err(database)?.unwrap_or(0))
}
