//! What the services and the shop remember: one SQLite file, apart from the broker's.

mod counts;
mod run;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anybroker::{Error, Kind, Result};
pub(crate) use counts::{Count, count, counted};
pub(crate) use run::{Phase, Run};
use rusqlite::{Connection, Transaction};

/// The state's file, opened. Real services would each have a database of their own.
#[derive(Clone)]
pub(crate) struct State {
    connection: Arc<Mutex<Connection>>,
    /// Held while this process lives, however it ends: nobody else continues the same run.
    _lock: Arc<File>,
}

impl State {
    pub(crate) fn open(file: &Path) -> Result<Self> {
        let lock = lock(&file.with_extension("lock")).map_err(|e| e.on(file.display().to_string()))?;
        let connection = connect(file).map_err(|e| database(e).on(file.display().to_string()))?;
        Ok(State { connection: Arc::new(Mutex::new(connection)), _lock: Arc::new(lock) })
    }

    /// Does `work` in one transaction, off the async threads: all of it is there after a crash, or none.
    pub(crate) async fn transaction<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = self.connection.clone();
        let transaction = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction().map_err(database)?;
            let done = work(&transaction)?;
            transaction.commit().map_err(database)?;
            Ok(done)
        };
        tokio::task::spawn_blocking(transaction).await.unwrap_or_else(|error| {
            Err(Error::new(Kind::Unexpected, "state", "a transaction did not end").with_source(error))
        })
    }
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    // A commit survives the machine, as the broker's confirmations do; readers don't stop the writer.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(include_str!("schema.sql"))?;
    Ok(connection)
}

fn lock(file: &Path) -> Result<File> {
    let failed = |e| Error::new(Kind::Unexpected, "state", "its lock cannot be opened").with_source(e);
    let lock = File::options().create(true).truncate(false).write(true).open(file).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let error = Error::new(Kind::InvalidConfiguration, "state", "another process is running with it");
            Err(error.advice("wait for its end, or give this one a file of its own with --state FILE"))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// A database's error: nothing that another attempt would help.
pub(crate) fn database(error: rusqlite::Error) -> Error {
    Error::new(Kind::Unexpected, "state", "the database failed").with_source(error)
}
