//! Opening the database file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anybroker_core::{Error, Kind, Result, TopologyMode};
use rusqlite::{Connection, OpenFlags};

use crate::config::{SqliteConfig, Sync};
use crate::error::sql;
use crate::host;
use crate::schema;

/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 64;
/// How long another process may keep the file locked.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a locked file is tried.
const RETRY: Duration = Duration::from_micros(500);
/// Pages in the write-ahead log after which they are moved to the database file: 32 MiB.
const CHECKPOINT: i32 = 4_096;

/// The file's path, independent of the working directory and of links on the way to it.
///
/// # Errors
/// `NotFound` if its directory, or in a mode that creates nothing the file, does not exist.
pub(crate) fn locate(config: &SqliteConfig) -> Result<PathBuf> {
    let missing = |text: &str, advice: &str| {
        let error = Error::new(Kind::NotFound, "connect", text).advice(advice);
        Err(error.on(format!("file `{}`", config.path.display())))
    };
    if config.path.exists() {
        return std::fs::canonicalize(&config.path)
            .or_else(|_| missing("it cannot be looked at", "see its permissions"));
    }
    if config.topology != TopologyMode::Create {
        return missing("there is no such file", "see its name, or add topology=create to the URL");
    }
    let directory = config.path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match (std::fs::canonicalize(directory.unwrap_or(Path::new("."))), config.path.file_name()) {
        (Ok(directory), Some(name)) => Ok(directory.join(name)),
        _ => missing("its directory does not exist", "create the directory"),
    }
}

/// Refuses a file that several hosts may share: neither locks nor the log's shared memory are to be relied on there.
pub(crate) fn refuse_network(path: &Path) -> Result<()> {
    match host::file_system(path).filter(|kind| host::is_network(kind)) {
        None => Ok(()),
        Some(kind) => {
            let text =
                format!("it is on a network file system ({kind}), where locks are not to be relied on");
            Err(Error::new(Kind::InvalidConfiguration, "connect", text)
                .on(format!("file `{}`", path.display()))
                .advice("put it on a local disk; between hosts, use a broker with a server"))
        }
    }
}

/// Bytes in the write-ahead log.
pub(crate) fn log_length(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).map_or(0, |file| file.len())
}

/// Opens a connection to a file that is ours, creating its tables if it is new.
pub(crate) fn open(path: &Path, sync: Sync) -> Result<Connection> {
    let place = || format!("file `{}`", path.display());
    let mut connection = connect(path).map_err(|e| sql("connect")(e).on(place()))?;
    schema::prepare(&mut connection).map_err(|e| e.on(place()))?;
    set_up(&connection, sync).map_err(|e| sql("connect")(e).on(place()))?;
    Ok(connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    be_patient(&connection)?;
    Ok(connection)
}

/// Waits for others who keep the file locked.
pub(crate) fn be_patient(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(wait))
}

fn wait(tries: i32) -> bool {
    std::thread::sleep(RETRY);
    RETRY * tries.unsigned_abs() < PATIENCE
}

fn set_up(connection: &Connection, sync: Sync) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "synchronous", sync.to_string())?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "cache_size", -16_384)
}
