//! The run: which it is, how far it is, how often it was cut off.

use std::time::{SystemTime, UNIX_EPOCH};

use anybroker::{Error, Kind, Result};
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, Transaction, params};

use super::database;

#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Part of the names of its topics and groups.
    pub(crate) id: String,
    /// The broker that has them.
    pub(crate) broker: String,
    pub(crate) orders: u32,
    pub(crate) phase: Phase,
    /// How often it was cut off and continued.
    pub(crate) resumed: u32,
}

/// How far a run is. Each phase can be done again from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The topics are being created.
    Declaring,
    /// The services are at work.
    Running,
    /// They are done; the topics are being deleted.
    Finished,
    /// There is nothing left to do.
    Done,
}

impl Run {
    /// The run that the state holds, if it has not ended.
    pub(crate) fn unfinished(transaction: &Transaction<'_>) -> Result<Option<Run>> {
        let sql = "SELECT id, broker, orders, phase, resumed FROM run";
        let found = transaction.query_row(sql, [], |row| {
            let (id, broker, orders) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Run { id, broker, orders, phase: row.get(3)?, resumed: row.get(4)? })
        });
        Ok(found.optional().map_err(database)?.filter(|run| run.phase != Phase::Done))
    }

    /// A new run; forgets everything of the one before it.
    pub(crate) fn start(transaction: &Transaction<'_>, broker: &str, orders: u32) -> Result<Run> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let (id, broker) = (format!("{now:x}"), broker.to_owned());
        let run = Run { id, broker, orders, phase: Phase::Declaring, resumed: 0 };
        for table in ["run", "handled", "steps", "charges", "reservations", "finished", "counts"] {
            transaction.execute(&format!("DELETE FROM {table}"), []).map_err(database)?;
        }
        let sql = "INSERT INTO run (id, broker, orders, phase) VALUES (?1, ?2, ?3, ?4)";
        transaction.execute(sql, params![run.id, run.broker, run.orders, run.phase]).map_err(database)?;
        Ok(run)
    }

    /// Notes that this process continues it.
    pub(crate) fn resume(mut self, transaction: &Transaction<'_>) -> Result<Run> {
        self.resumed += 1;
        transaction.execute("UPDATE run SET resumed = ?1", [self.resumed]).map_err(database)?;
        Ok(self)
    }

    pub(crate) fn enter(transaction: &Transaction<'_>, phase: Phase) -> Result<()> {
        transaction.execute("UPDATE run SET phase = ?1", [phase]).map_err(database).map(drop)
    }

    /// How many orders the shop knows to be published.
    pub(crate) fn ordered(transaction: &Transaction<'_>) -> Result<u32> {
        transaction.query_row("SELECT ordered FROM run", [], |row| row.get(0)).map_err(database)
    }

    pub(crate) fn set_ordered(transaction: &Transaction<'_>, orders: u32) -> Result<()> {
        transaction.execute("UPDATE run SET ordered = ?1", [orders]).map_err(database).map(drop)
    }

    /// Refuses to continue it on another broker than the one that has its messages.
    pub(crate) fn check_broker(&self, broker: &str) -> Result<()> {
        if self.broker == broker {
            return Ok(());
        }
        let text = format!("its run was cut off on {}, and this is {broker}", self.broker);
        let error = Error::new(Kind::InvalidConfiguration, "state", text);
        Err(error.advice("set ANYBROKER_URL to that broker, or choose another file with --state FILE"))
    }
}

const PHASES: [(Phase, &str); 4] = [
    (Phase::Declaring, "declaring"),
    (Phase::Running, "running"),
    (Phase::Finished, "finished"),
    (Phase::Done, "done"),
];

impl ToSql for Phase {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let name = PHASES.iter().find(|(phase, _)| phase == self).map_or("", |(_, name)| name);
        Ok(name.into())
    }
}

impl FromSql for Phase {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        let found = PHASES.iter().find(|(_, known)| *known == name);
        found.map(|(phase, _)| *phase).ok_or(rusqlite::types::FromSqlError::InvalidType)
    }
}
