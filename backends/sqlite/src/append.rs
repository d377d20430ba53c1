//! Publishing in the tables: a batch is appended, and confirmed when its transaction is committed.

use std::ops::Range;
use std::sync::Arc;

use anybroker_core::kit::Pending;
use anybroker_core::{Error, Kind, Message, Position, Receipt, Result};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::{Failed, sql};
use crate::record;
use crate::schema::place;
use crate::store::now;
use crate::sweep::{forget_ids, sweep_partition};
use crate::topics::{self, Kept, TopicState, missing};
use crate::writer::{Transaction, Work};

/// A batch of messages on its way into the file.
pub(crate) struct Append {
    topic: Arc<TopicState>,
    entries: Vec<Entry>,
    /// What is kept of the messages besides their payloads, one after the other.
    meta: Vec<u8>,
}

struct Entry {
    /// None once it has failed.
    pending: Option<Pending>,
    partition: usize,
    meta: Range<usize>,
    receipt: Receipt,
}

impl Entry {
    /// Stores the message, or says why it may not be.
    fn store(&mut self, logs: &mut Logs<'_>, meta: &[u8]) -> Result<Option<Error>> {
        let Some(pending) = &self.pending else { return Ok(None) };
        // Asked here, since an earlier failure in this very transaction may have held the key.
        if let Some(refusal) = pending.refusal() {
            return Ok(Some(refusal));
        }
        let Some(message) = pending.message() else { return Ok(None) };
        match logs.store(self.partition, message, &meta[self.meta.clone()]).map_err(sql("publish"))? {
            Ok(receipt) => self.receipt = receipt,
            Err(error) => return Ok(Some(error)),
        }
        Ok(None)
    }
}

impl Append {
    /// A batch for `topic`; `partition` chooses each message's.
    pub(crate) fn new(
        topic: Arc<TopicState>,
        accepted: Vec<Pending>,
        mut partition: impl FnMut(&Message) -> usize,
    ) -> Self {
        let mut append = Append { topic, entries: Vec::with_capacity(accepted.len()), meta: Vec::new() };
        for pending in accepted {
            let Some(message) = pending.message() else { continue };
            let (partition, from) = (partition(message), append.meta.len());
            record::encode(message, &mut append.meta);
            let meta = from..append.meta.len();
            append.entries.push(Entry {
                pending: Some(pending),
                partition,
                meta,
                receipt: Receipt::default(),
            });
        }
        append
    }

    fn fail_all(&mut self, error: &Error) {
        self.entries
            .iter_mut()
            .filter_map(|entry| entry.pending.take())
            .for_each(|p| p.fail(error.duplicate()));
    }
}

impl Work for Append {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> Result<()> {
        let Some(kept) = topics::kept(transaction.sql, self.topic.id)? else {
            self.fail_all(&missing(&self.topic.topic));
            return Ok(());
        };
        let mut logs = Logs::new(transaction.sql, &self.topic, kept);
        for entry in &mut self.entries {
            // Told at once, so that nothing later of its key is stored: whatever becomes of the transaction, it is not.
            if let Some(error) = entry.store(&mut logs, &self.meta)?
                && let Some(pending) = entry.pending.take()
            {
                pending.fail(error);
            }
        }
        logs.finish().map_err(sql("publish"))?;
        transaction.changed.push(self.topic.id);
        Ok(())
    }

    fn end(self: Box<Self>, ended: Result<(), &Failed>) {
        for Entry { pending, receipt, .. } in self.entries {
            let Some(pending) = pending else { continue };
            match ended {
                Ok(()) => pending.confirm(receipt),
                Err(failed) => pending.fail(failed.error("publish")),
            }
        }
    }

    fn weight(&self) -> usize {
        self.entries.len()
    }
}

/// The partitions of a topic that a batch is appended to.
struct Logs<'a> {
    sql: &'a Connection,
    topic: &'a TopicState,
    kept: Kept,
    now: i64,
    logs: Vec<Option<Log>>,
    /// Ids noted, and so ids that may be forgotten.
    noted: u64,
}

/// A partition as it is in the file, and what was appended to it since.
struct Log {
    id: i64,
    start: u64,
    swept: u64,
    next: u64,
    appended: u64,
}

impl<'a> Logs<'a> {
    fn new(sql: &'a Connection, topic: &'a TopicState, kept: Kept) -> Self {
        let logs = topic.partitions.iter().map(|_| None).collect();
        Logs { sql, topic, kept, now: now(), logs, noted: 0 }
    }

    /// Stores a message, or says that it is there already, or why it may not be.
    fn store(&mut self, number: usize, message: &Message, meta: &[u8]) -> rusqlite::Result<Result<Receipt>> {
        let id = self.kept.deduplication.map(|_| message.id.to_string());
        if let Some(position) = id.as_deref().map_or(Ok(None), |id| self.duplicate(id))? {
            return Ok(Ok(Receipt { position: Some(position), duplicate: true }));
        }
        let retention = self.kept.retention;
        let (connection, now) = (self.sql, self.now);
        let log = self.log(number)?;
        if !log.make_room(connection, retention)? {
            return Ok(Err(full(retention)));
        }
        connection
            .prepare_cached("INSERT INTO messages (place, stored, meta, payload) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![place(log.id, log.next), now, meta, &message.payload[..]])?;
        let position = Position { partition: number as u32, offset: log.next };
        log.next += 1;
        log.appended += 1;
        if let Some(id) = id {
            self.note(&id, position)?;
        }
        Ok(Ok(Receipt { position: Some(position), duplicate: false }))
    }

    fn log(&mut self, number: usize) -> rusqlite::Result<&mut Log> {
        let slot = &mut self.logs[number];
        match slot {
            Some(log) => Ok(log),
            None => Ok(slot.insert(Log::read(self.sql, self.topic.partitions[number])?)),
        }
    }

    /// Where a message of that id was stored within the window.
    fn duplicate(&self, id: &str) -> rusqlite::Result<Option<Position>> {
        let since = self.now - self.kept.deduplication.map_or(0, |window| window.as_millis() as i64);
        let statement = "SELECT number, position FROM ids WHERE topic = ?1 AND id = ?2 AND stored > ?3";
        let mut statement = self.sql.prepare_cached(statement)?;
        let position = statement.query_row(params![self.topic.id, id, since], |row| {
            Ok(Position { partition: row.get(0)?, offset: row.get::<_, i64>(1)? as u64 })
        });
        position.optional()
    }

    fn note(&mut self, id: &str, position: Position) -> rusqlite::Result<()> {
        let statement =
            "INSERT OR REPLACE INTO ids (topic, id, stored, number, position) VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = params![self.topic.id, id, self.now, position.partition, position.offset as i64];
        self.sql.prepare_cached(statement)?.execute(values)?;
        self.noted += 1;
        Ok(())
    }

    /// Writes the partitions back, and deletes about as much as was added of what may go, so that it never piles up.
    fn finish(self) -> rusqlite::Result<()> {
        for log in self.logs.into_iter().flatten() {
            log.write(self.sql)?;
        }
        if let (Some(window), true) = (self.kept.deduplication, self.noted > 0) {
            forget_ids(self.sql, self.topic.id, self.now - window.as_millis() as i64, 2 * self.noted)?;
        }
        Ok(())
    }
}

impl Log {
    fn read(connection: &Connection, id: i64) -> rusqlite::Result<Self> {
        let statement = "SELECT start, swept, next FROM partitions WHERE id = ?1";
        connection.prepare_cached(statement)?.query_row([id], |row| {
            let (start, swept, next): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Log { id, start: start as u64, swept: swept as u64, next: next as u64, appended: 0 })
        })
    }

    /// Lets the oldest messages go that every group has acknowledged; says whether there is room then.
    fn make_room(&mut self, connection: &Connection, retention: u64) -> rusqlite::Result<bool> {
        if self.next - self.start < retention {
            return Ok(true);
        }
        let statement = "SELECT min(done_below) FROM cursors WHERE partition = ?1";
        let acknowledged: Option<i64> =
            connection.prepare_cached(statement)?.query_row([self.id], |row| row.get(0))?;
        // A tenth at a time, so that a full partition is not looked at for every message.
        let tenth = self.start + (self.next - self.start - retention) + retention.div_ceil(10);
        self.start = self.start.max(tenth.min(acknowledged.map_or(0, |offset| offset as u64)));
        Ok(self.next - self.start < retention)
    }

    fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        connection
            .prepare_cached("UPDATE partitions SET start = ?2, next = ?3 WHERE id = ?1")?
            .execute(params![self.id, self.start as i64, self.next as i64])?;
        if self.swept < self.start {
            sweep_partition(connection, self.id, (self.swept, self.start), 2 * self.appended + 100)?;
        }
        Ok(())
    }
}

fn full(retention: u64) -> Error {
    let text = format!("the partition keeps {retention} messages that some group has not acknowledged");
    Error::new(Kind::Throttled, "publish", text)
        .advice("consume them, or raise the topic's retention: retention=…&alter=true in the URL")
}
