//! What goes by itself, a bounded bit at a time: messages that are too old, and those that nothing refers to any more.

use anybroker_core::Result;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::{Failed, sql};
use crate::schema::place;
use crate::store::now;
use crate::writer::{Transaction, Work};

/// Rows deleted in one transaction.
const BIT: u64 = 2_000;

/// One bit of sweeping.
#[derive(Debug, Default)]
pub(crate) struct Sweep;

impl Work for Sweep {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> Result<()> {
        let apply = || -> rusqlite::Result<bool> {
            let now = now();
            expire_messages(transaction.sql, now)?;
            let ids = expire_ids(transaction.sql, now)?;
            Ok(delete_messages(transaction.sql)? || ids)
        };
        transaction.more |= apply().map_err(sql("sweep"))?;
        Ok(())
    }

    fn end(self: Box<Self>, ended: Result<(), &Failed>) {
        if let Err(failed) = ended {
            tracing::warn!(error = %failed.error("sweep"), "messages that may go are still there; it is tried again");
        }
    }

    fn weight(&self) -> usize {
        BIT as usize
    }
}

/// Moves the start of partitions whose topics keep messages for a time; never past what some group has not acknowledged.
fn expire_messages(connection: &Connection, now: i64) -> rusqlite::Result<()> {
    let mut aged = connection.prepare_cached(
        "SELECT p.id, p.start, min(c.done_below), ?1 - t.retention_ms FROM topics t
         JOIN partitions p ON p.topic = t.id JOIN cursors c ON c.partition = p.id
         WHERE t.retention_ms IS NOT NULL AND p.start < p.next GROUP BY p.id HAVING min(c.done_below) > p.start",
    )?;
    let rows = aged.query_map([now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    // Collected, since what is read is changed.
    for (partition, start, acknowledged, limit) in
        rows.collect::<rusqlite::Result<Vec<(i64, i64, i64, i64)>>>()?
    {
        let upto = first_younger(connection, partition, (start as u64, acknowledged as u64), limit)?;
        if upto > start as u64 {
            connection
                .prepare_cached("UPDATE partitions SET start = ?2 WHERE id = ?1")?
                .execute(params![partition, upto as i64])?;
        }
    }
    Ok(())
}

/// The first offset within the bounds whose message was stored at `limit` or later: times rise with offsets.
fn first_younger(
    connection: &Connection,
    partition: i64,
    (mut low, mut high): (u64, u64),
    limit: i64,
) -> rusqlite::Result<u64> {
    let mut stored = connection.prepare_cached("SELECT stored FROM messages WHERE place = ?1")?;
    while low < high {
        let middle = low + (high - low) / 2;
        let at: Option<i64> = stored.query_row([place(partition, middle)], |row| row.get(0)).optional()?;
        if at.is_some_and(|at| at >= limit) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

/// Forgets ids that are older than their window; says whether there are more.
fn expire_ids(connection: &Connection, now: i64) -> rusqlite::Result<bool> {
    let mut topics = connection
        .prepare_cached("SELECT id, deduplication_ms FROM topics WHERE deduplication_ms IS NOT NULL")?;
    let mut rows = topics.query([])?;
    let mut more = false;
    while let Some(row) = rows.next()? {
        let (topic, window): (i64, i64) = (row.get(0)?, row.get(1)?);
        more |= forget_ids(connection, topic, now - window, BIT)? == BIT as usize;
    }
    Ok(more)
}

/// Forgets up to `most` ids of a topic that were stored before `limit`.
pub(crate) fn forget_ids(
    connection: &Connection,
    topic: i64,
    limit: i64,
    most: u64,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM ids WHERE topic = ?1 AND id IN
             (SELECT id FROM ids INDEXED BY ids_by_age WHERE topic = ?1 AND stored < ?2 ORDER BY stored LIMIT ?3)",
        )?
        .execute(params![topic, limit, most as i64])
}

/// Deletes messages before their partitions' starts, and the partitions of deleted topics; says whether there are more.
fn delete_messages(connection: &Connection) -> rusqlite::Result<bool> {
    let mut behind = connection.prepare_cached(
        "SELECT id, swept, start, topic IS NULL FROM partitions WHERE swept < start OR topic IS NULL",
    )?;
    let rows = behind.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let mut left = BIT;
    for (partition, swept, start, deleted) in
        rows.collect::<rusqlite::Result<Vec<(i64, i64, i64, bool)>>>()?
    {
        let upto = sweep_partition(connection, partition, (swept as u64, start as u64), left)?;
        left -= upto - swept as u64;
        if upto == start as u64 && deleted {
            connection.execute("DELETE FROM partitions WHERE id = ?1", [partition])?;
        }
        if left == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes up to `most` messages from `swept` to `start`; says where it stopped.
pub(crate) fn sweep_partition(
    connection: &Connection,
    partition: i64,
    (swept, start): (u64, u64),
    most: u64,
) -> rusqlite::Result<u64> {
    let upto = start.min(swept + most);
    connection
        .prepare_cached("DELETE FROM messages WHERE place >= ?1 AND place < ?2")?
        .execute([place(partition, swept), place(partition, upto)])?;
    connection
        .prepare_cached("UPDATE partitions SET swept = ?2 WHERE id = ?1")?
        .execute(params![partition, upto as i64])?;
    Ok(upto)
}
