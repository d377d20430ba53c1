//! What an operator would look at: the file, its disk, and who uses it.

use std::path::Path;
use std::time::{Duration, Instant};

use anybroker_core::{Diagnosis, Error, Finding, Kind, Result, Topic};
use rusqlite::Connection;

use crate::config::Sync;
use crate::error::sql;
use crate::store::Store;
use crate::{Sqlite, file, host, schema, topics};

/// Below this much room on the disk somebody should act.
const LITTLE: u64 = 1 << 30;
/// A log of this size shows that something keeps it from being moved to the database.
const LONG_LOG: u64 = 256 << 20;
/// A sync that takes longer than this makes single publishes slow.
const SLOW_SYNC: Duration = Duration::from_millis(20);
/// Bytes up to which the whole database is checked.
const CHECKED: u64 = 1 << 30;

pub(crate) async fn all(broker: &Sqlite, topic: Option<&Topic>) -> Result<Vec<Diagnosis>> {
    let store = &broker.store;
    let mut found = vec![version(), durability(store), wake_up(store)];
    found.extend(files(store).await?);
    if let Some(topic) = topic {
        found.push(self::topic(store, topic).await?);
    }
    Ok(found)
}

fn version() -> Diagnosis {
    let text = format!("SQLite {}, version {} of the tables", rusqlite::version(), schema::VERSION);
    Diagnosis::new("version", Finding::Fine, text)
}

fn durability(store: &Store) -> Diagnosis {
    match store.sync {
        Sync::Full => Diagnosis::new("durability", Finding::Fine, "every commit is synced to the disk"),
        Sync::Normal => {
            let text = "sync=normal: a power cut may take the last confirmed messages with it";
            Diagnosis::new("durability", Finding::Warning, text).advice("leave sync=normal out of the URL")
        }
    }
}

fn wake_up(store: &Store) -> Diagnosis {
    match &store.deaf {
        None => Diagnosis::new("wake-up", Finding::Fine, "other processes' commits are noticed at once"),
        Some(why) => {
            let text = format!("other processes' commits are noticed once a second only: {why}");
            Diagnosis::new("wake-up", Finding::Warning, text)
                .advice("raise the limits of file watching, such as fs.inotify.max_user_instances")
        }
    }
}

/// What needs the disk, on a thread and a connection of its own, so that nobody waits for it.
async fn files(store: &Store) -> Result<Vec<Diagnosis>> {
    let (path, sync, live) = (store.path.clone(), store.sync, store.live.clone());
    let look = move || -> Result<Vec<Diagnosis>> {
        let others = live.others().map_err(failed)?;
        let connection = file::open(&path, sync)?;
        Ok(vec![
            file_system(&path),
            locks(live.locks_work()),
            room(&path),
            log(&path),
            speed(live.time_of_a_sync().map_err(failed)?),
            integrity(&connection, &path)?,
            users(&others),
        ])
    };
    let looked = tokio::task::spawn_blocking(look).await;
    looked.map_err(|e| Error::new(Kind::Unexpected, "diagnose", "it did not end").with_source(e))?
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Kind::Unexpected, "diagnose", "the files beside the database cannot be used")
        .with_source(error)
}

fn file_system(path: &Path) -> Diagnosis {
    match host::file_system(path) {
        None => Diagnosis::new("file system", Finding::Unknown, "this host does not tell its type"),
        Some(kind) if host::is_network(&kind) => {
            Diagnosis::new("file system", Finding::Failure, format!("{kind}, which several hosts may share"))
                .advice("move the file to a local disk")
        }
        Some(kind) => Diagnosis::new("file system", Finding::Fine, kind),
    }
}

fn locks(work: std::io::Result<bool>) -> Diagnosis {
    match work {
        Ok(true) => {
            Diagnosis::new("file locks", Finding::Fine, "a file that one holds locked is refused to another")
        }
        Ok(false) => {
            let text = "two hold a lock on one file: a living member looks dead, or a dead one alive";
            Diagnosis::new("file locks", Finding::Failure, text).advice("move the file to a local disk")
        }
        Err(error) => Diagnosis::new("file locks", Finding::Failure, format!("they do not work: {error}"))
            .advice("move the file to a local disk"),
    }
}

fn room(path: &Path) -> Diagnosis {
    match host::free(path) {
        None => Diagnosis::new("free space", Finding::Unknown, "this host does not tell"),
        Some(free) if free < LITTLE => {
            Diagnosis::new("free space", Finding::Warning, format!("{} MiB left on the disk", free >> 20))
                .advice("free space: with none left, publishing and acknowledging are refused")
        }
        Some(free) => {
            Diagnosis::new("free space", Finding::Fine, format!("{} GiB left on the disk", free >> 30))
        }
    }
}

fn log(path: &Path) -> Diagnosis {
    let length = file::log_length(path);
    let text = format!("the write-ahead log has {} MiB", length >> 20);
    if length > LONG_LOG {
        Diagnosis::new("log", Finding::Warning, text)
            .advice("some process reads for a very long time, or is stopped while it reads")
    } else {
        Diagnosis::new("log", Finding::Fine, text)
    }
}

fn speed(sync: Duration) -> Diagnosis {
    let finding = if sync > SLOW_SYNC { Finding::Warning } else { Finding::Fine };
    let told = Diagnosis::new("sync", finding, format!("the disk takes {sync:.1?} to sync a page"));
    if sync > SLOW_SYNC { told.advice("publish in batches: they share a sync") } else { told }
}

fn integrity(connection: &Connection, path: &Path) -> Result<Diagnosis> {
    if std::fs::metadata(path).map_or(0, |file| file.len()) > CHECKED {
        let text = "the file is too large to be checked in passing";
        return Ok(Diagnosis::new("integrity", Finding::Unknown, text)
            .advice("to check it: sqlite3 FILE 'PRAGMA quick_check'"));
    }
    let began = Instant::now();
    let checked: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sql("diagnose"))?;
    if checked == "ok" {
        return Ok(Diagnosis::new("integrity", Finding::Fine, format!("checked in {:.1?}", began.elapsed())));
    }
    Ok(Diagnosis::new("integrity", Finding::Failure, checked).advice(
        "stop every process that uses it, keep a copy, and restore a backup or try `sqlite3 FILE .recover`",
    ))
}

fn users(others: &[String]) -> Diagnosis {
    let text = match others {
        [] => "no other process has the file open".to_owned(),
        others => format!("open in other processes too: {}", others.join(", ")),
    };
    Diagnosis::new("users", Finding::Fine, text)
}

async fn topic(store: &Store, topic: &Topic) -> Result<Diagnosis> {
    let wanted = topic.clone();
    let found = store.read("diagnose", move |connection| {
        let Some((id, partitions)) = topics::find(connection, &wanted)? else { return Ok(None) };
        Ok(topics::kept(connection, id)?.map(|kept| (kept, partitions.len())))
    });
    Ok(match found.await? {
        None => Diagnosis::new("topic", Finding::Failure, format!("there is no topic `{topic}`"))
            .advice("declare it, or add topology=create to the URL"),
        Some((kept, partitions)) => {
            let text = format!("{partitions} partitions, each keeping up to {} messages", kept.retention);
            Diagnosis::new("topic", Finding::Fine, text)
        }
    })
}
