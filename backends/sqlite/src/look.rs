//! What a member looks at: its group, who owns what, and the next messages of its partitions.

use std::collections::{BTreeSet, HashMap};

use anybroker_core::kit::Incoming;
use anybroker_core::{Error, Kind, RecordBuffer, Result};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::sql;
use crate::membership::{self, MemberRow};
use crate::record;
use crate::schema::{offset, place};
use crate::topics;

/// A group as it is at one moment.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) members: Vec<MemberRow>,
    /// Of the topic's partitions in order of their numbers.
    pub(crate) cursors: Vec<Cursor>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    pub(crate) partition: i64,
    pub(crate) owner: Option<i64>,
}

impl View {
    /// Who ought to own a partition: the members take turns.
    pub(crate) fn target(&self, number: usize) -> Option<i64> {
        let members = self.members.len();
        (members > 0).then(|| self.members[number % members].id)
    }
}

/// The group as it is now; none if the topic is deleted.
pub(crate) fn view(connection: &Connection, topic: i64, group: i64) -> Result<Option<View>> {
    // One transaction, so that it is one moment.
    let transaction = connection.unchecked_transaction().map_err(sql("read"))?;
    if topics::kept(&transaction, topic)?.is_none() {
        return Ok(None);
    }
    let members = membership::members(&transaction, group)?;
    let cursors = || {
        let mut statement = transaction.prepare_cached(
            "SELECT p.id, c.owner FROM partitions p JOIN cursors c ON c.partition = p.id AND c.grp = ?2
             WHERE p.topic = ?1 ORDER BY p.number",
        )?;
        let rows = statement.query_map(params![topic, group], |row| {
            Ok(Cursor { partition: row.get(0)?, owner: row.get(1)? })
        })?;
        rows.collect::<rusqlite::Result<_>>()
    };
    let cursors = cursors().map_err(sql("read"))?;
    Ok(Some(View { members, cursors }))
}

/// What is wanted of one partition.
#[derive(Debug)]
pub(crate) struct Want {
    pub(crate) number: u32,
    pub(crate) partition: i64,
    /// The first offset.
    pub(crate) next: u64,
    pub(crate) messages: usize,
    /// Those at or after `next` that are acknowledged already.
    pub(crate) done: BTreeSet<u64>,
    pub(crate) attempts: HashMap<u64, u32>,
}

/// What was found in one partition.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) number: u32,
    /// Where to go on.
    pub(crate) next: u64,
    pub(crate) messages: Vec<Incoming>,
    /// There may be more.
    pub(crate) more: bool,
}

/// Bytes that one look brings at most, besides one message.
const BYTES: usize = 8 << 20;

/// The next messages of some partitions of a topic.
pub(crate) fn messages(
    connection: &Connection,
    topic: i64,
    wants: Vec<Want>,
    room: usize,
) -> Result<Vec<Found>> {
    let transaction = connection.unchecked_transaction().map_err(sql("read"))?;
    let (mut buffer, mut left) = (RecordBuffer::new(), Left { messages: room, bytes: BYTES });
    wants.into_iter().map(|want| partition(&transaction, topic, want, &mut buffer, &mut left)).collect()
}

/// What may still be read in one look.
struct Left {
    messages: usize,
    bytes: usize,
}

fn partition(
    connection: &Connection,
    topic: i64,
    want: Want,
    buffer: &mut RecordBuffer,
    left: &mut Left,
) -> Result<Found> {
    let mut found = Found { number: want.number, next: want.next, messages: Vec::new(), more: false };
    let mut statement = connection
        .prepare_cached(
            "SELECT place, stored, meta, payload FROM messages WHERE place >= ?1 AND place < ?2 ORDER BY place",
        )
        .map_err(sql("receive"))?;
    // After a purge, messages before the start are still to be deleted.
    let start = start(connection, topic, want.partition).map_err(sql("receive"))?;
    let Some(from) = start.map(|start| start.max(want.next)) else { return Ok(found) };
    let bounds = [place(want.partition, from), place(want.partition + 1, 0)];
    let mut rows = statement.query(bounds).map_err(sql("receive"))?;
    while let Some(row) = rows.next().map_err(sql("receive"))? {
        if found.messages.len() == want.messages || left.messages == 0 || left.bytes == 0 {
            found.more = true;
            break;
        }
        let incoming = incoming(row, &want, buffer)?;
        found.next = incoming.native + 1;
        if !want.done.contains(&incoming.native) {
            left.bytes = left.bytes.saturating_sub(incoming.record.size());
            left.messages -= 1;
            found.messages.push(incoming);
        }
    }
    Ok(found)
}

/// The first message kept; none if the topic was deleted meanwhile, and another may have the partition's id.
fn start(connection: &Connection, topic: i64, partition: i64) -> rusqlite::Result<Option<u64>> {
    let statement = "SELECT start FROM partitions WHERE id = ?1 AND topic = ?2";
    let start: Option<i64> =
        connection.prepare_cached(statement)?.query_row([partition, topic], |row| row.get(0)).optional()?;
    Ok(start.map(|start| start as u64))
}

fn incoming(row: &rusqlite::Row<'_>, want: &Want, buffer: &mut RecordBuffer) -> Result<Incoming> {
    let column = |at: usize| row.get_ref(at)?.as_blob().map_err(rusqlite::Error::from);
    let read = |at: usize| row.get::<_, i64>(at);
    let offset = offset(read(0).map_err(sql("receive"))?);
    let (meta, payload) = (column(2).map_err(sql("receive"))?, column(3).map_err(sql("receive"))?);
    let record = record::decode(buffer, meta, payload).ok_or_else(|| {
        let text = format!("message {offset} of partition {} does not read", want.number);
        Error::new(Kind::Decode, "receive", text).advice("a newer anybroker may have written it")
    })?;
    let attempts = want.attempts.get(&offset).copied().unwrap_or(0);
    Ok(Incoming {
        record,
        native: offset,
        offset: Some(offset),
        stored: read(1).map_err(sql("receive"))?,
        attempts,
        redelivered: attempts > 0,
    })
}
