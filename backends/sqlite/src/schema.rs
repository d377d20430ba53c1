//! The tables, and whether a file is ours.

use anybroker_core::{Error, Kind, Result};
use rusqlite::Connection;

use crate::error::sql;

/// SQLite's `application_id` of our files: `anyb`.
pub(crate) const APPLICATION: i32 = 0x616e_7962;
/// SQLite's `user_version` of our files. A later version of the tables gets the next number and a migration.
pub(crate) const VERSION: i32 = 1;
/// Larger than SQLite's default, so that fewer messages spill into overflow pages.
const PAGE_SIZE: i32 = 8_192;

/// A message is kept at `place` = partition's id × 2^44 + offset: one ordered tree, appended to at each partition's end.
const PARTITION_SHIFT: u32 = 44;

/// Partitions' ids are below this.
pub(crate) const PARTITIONS: i64 = (1 << (63 - PARTITION_SHIFT)) - 1;

/// The key of a message in the table `messages`.
pub(crate) fn place(partition: i64, offset: u64) -> i64 {
    (partition << PARTITION_SHIFT) | offset as i64
}

/// The offset of a message in its partition.
pub(crate) fn offset(place: i64) -> u64 {
    (place & ((1 << PARTITION_SHIFT) - 1)) as u64
}

const TABLES: &str = "
CREATE TABLE topics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    retention INTEGER NOT NULL,         -- messages a partition keeps at most
    retention_ms INTEGER,               -- acknowledged messages older than this go
    deduplication_ms INTEGER            -- none: messages of one id are all stored
) STRICT;
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY,             -- not used again before its messages are deleted
    topic INTEGER,                      -- none: its topic is deleted, and its messages are about to be
    number INTEGER NOT NULL,
    start INTEGER NOT NULL,             -- the first message kept
    swept INTEGER NOT NULL,             -- messages before it are deleted; those from here to start are about to be
    next INTEGER NOT NULL,              -- the offset of the next message
    UNIQUE (topic, number)
) STRICT;
CREATE TABLE messages (
    place INTEGER PRIMARY KEY,          -- partition's id * 2^44 + offset
    stored INTEGER NOT NULL,            -- milliseconds since 1970
    meta BLOB NOT NULL,                 -- key, id, attributes, headers: see record.rs
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE ids (                      -- for deduplication
    topic INTEGER NOT NULL,
    id TEXT NOT NULL,
    stored INTEGER NOT NULL,
    number INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (topic, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ids_by_age ON ids (topic, stored);
CREATE TABLE groups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (topic, name)
) STRICT;
CREATE TABLE members (                  -- in order of joining
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    grp INTEGER NOT NULL,
    name TEXT NOT NULL                  -- of the file that it keeps locked while it lives
) STRICT;
CREATE INDEX members_by_group ON members (grp);
CREATE TABLE cursors (
    partition INTEGER NOT NULL,
    grp INTEGER NOT NULL,
    done_below INTEGER NOT NULL,        -- everything before it is acknowledged
    owner INTEGER,                      -- a member
    epoch INTEGER NOT NULL,             -- grows with every change of owner
    PRIMARY KEY (partition, grp)
) STRICT, WITHOUT ROWID;
CREATE TABLE done (                     -- acknowledged messages at or after done_below
    partition INTEGER NOT NULL,
    grp INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (partition, grp, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE attempts (                 -- how often messages that came back have been delivered
    partition INTEGER NOT NULL,
    grp INTEGER NOT NULL,
    position INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (partition, grp, position)
) STRICT, WITHOUT ROWID;
";

/// Makes sure that the file has our tables: a new file gets them, anything else is refused.
pub(crate) fn prepare(connection: &mut Connection) -> Result<()> {
    let failed = sql("connect");
    if is_ours(connection)? {
        return Ok(());
    }
    // Of a new file only: both must be set before the first table. Two processes may do so at once.
    connection.pragma_update(None, "page_size", PAGE_SIZE).map_err(&failed)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(&failed)?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(&failed)?;
    if !is_ours(&transaction)? {
        transaction.execute_batch(TABLES).map_err(&failed)?;
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(&failed)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(&failed)?;
    }
    transaction.commit().map_err(&failed)
}

/// Whether the file has our tables; it is refused if it has others, or newer ones.
fn is_ours(connection: &Connection) -> Result<bool> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let failed = sql("connect");
    let (application, version) =
        (number("application_id").map_err(&failed)?, number("user_version").map_err(&failed)?);
    let refused =
        |text: String, advice| Err(Error::new(Kind::InvalidConfiguration, "connect", text).advice(advice));
    match (application, version) {
        (APPLICATION, VERSION) => Ok(true),
        (APPLICATION, newer) => refused(
            format!("the file has version {newer} of the tables, and this program knows {VERSION}"),
            "use a program with a newer anybroker, or another file",
        ),
        _ => {
            let count = "SELECT count(*) FROM sqlite_schema";
            let tables: i64 = connection.query_row(count, [], |row| row.get(0)).map_err(&failed)?;
            if tables == 0 && application == 0 {
                return Ok(false);
            }
            refused("the file is a database of another program".to_owned(), "name another file")
        }
    }
}
