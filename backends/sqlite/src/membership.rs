//! Members of groups in the tables, and which partition belongs to whom.

use std::collections::{BTreeSet, HashMap};

use anybroker_core::kit::Returned;
use anybroker_core::{Error, Group, Kind, Result, Start, Topic};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::sql;
use crate::handed::{self, Entry};
use crate::topics;
use crate::writer::Transaction;

/// A member as the others see it, in order of joining.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberRow {
    pub(crate) id: i64,
    /// Of the file that it keeps locked.
    pub(crate) name: String,
}

/// A partition that was taken over.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) epoch: i64,
    /// The first message not acknowledged.
    pub(crate) next: u64,
    /// Acknowledged messages after it.
    pub(crate) done: BTreeSet<u64>,
    /// How often messages that came back have been delivered.
    pub(crate) attempts: HashMap<u64, u32>,
}

/// A partition that is let go, with what comes back.
#[derive(Clone, Debug)]
pub(crate) struct LetGo {
    pub(crate) partition: i64,
    pub(crate) epoch: i64,
    pub(crate) returned: Vec<Returned>,
}

/// The members of a group, in order of joining.
pub(crate) fn members(connection: &Connection, group: i64) -> Result<Vec<MemberRow>> {
    let read = || {
        let mut statement =
            connection.prepare_cached("SELECT id, name FROM members WHERE grp = ?1 ORDER BY id")?;
        let rows =
            statement.query_map([group], |row| Ok(MemberRow { id: row.get(0)?, name: row.get(1)? }))?;
        rows.collect::<rusqlite::Result<_>>()
    };
    read().map_err(sql("read"))
}

/// The files of all members of all groups.
pub(crate) fn names(connection: &Connection) -> Result<Vec<String>> {
    let read = || {
        let mut statement = connection.prepare("SELECT name FROM members")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect::<rusqlite::Result<_>>()
    };
    read().map_err(sql("read"))
}

/// Joins a group, which is created if it is new, starting where it is told to; gives the group's id and the member's.
pub(crate) fn join(
    transaction: &mut Transaction<'_>,
    (topic, name): (i64, &Topic),
    group: &Group,
    start: Start,
    file: &str,
) -> Result<(i64, i64)> {
    if topics::kept(transaction.sql, topic)?.is_none() {
        return Err(topics::missing(name));
    }
    let id = topics::create_group(transaction.sql, topic, group)?;
    if start != Start::Resume {
        seek(transaction.sql, id, group, start)?;
    }
    let statement = "INSERT INTO members (grp, name) VALUES (?1, ?2)";
    transaction.sql.execute(statement, params![id, file]).map_err(sql("subscribe"))?;
    transaction.changed.push(topic);
    Ok((id, transaction.sql.last_insert_rowid()))
}

/// Moves the group to where the subscription starts.
fn seek(connection: &Connection, group: i64, name: &Group, start: Start) -> Result<()> {
    if !members(connection, group)?.is_empty() {
        let text = "the group has members, and starting elsewhere would move them too";
        return Err(Error::new(Kind::InvalidConfiguration, "subscribe", text)
            .on(format!("group `{name}`"))
            .advice("close them first, use another group, or start with Start::Resume"));
    }
    let column = if start == Start::Earliest { "start" } else { "next" };
    let moved = format!(
        "UPDATE cursors SET done_below = (SELECT {column} FROM partitions WHERE id = partition) WHERE grp = ?1"
    );
    for statement in
        [moved.as_str(), "DELETE FROM done WHERE grp = ?1", "DELETE FROM attempts WHERE grp = ?1"]
    {
        connection.execute(statement, [group]).map_err(sql("subscribe"))?;
    }
    Ok(())
}

/// Takes the partitions that nobody owns out of those that are asked for.
pub(crate) fn take(
    connection: &Connection,
    (group, member): (i64, i64),
    partitions: &[i64],
) -> Result<Vec<(i64, Taken)>> {
    let mut taken = Vec::new();
    for partition in partitions {
        let one = take_one(connection, (group, member), *partition).map_err(sql("take over"))?;
        taken.extend(one.map(|one| (*partition, one)));
    }
    Ok(taken)
}

fn take_one(
    connection: &Connection,
    (group, member): (i64, i64),
    partition: i64,
) -> rusqlite::Result<Option<Taken>> {
    let statement = "UPDATE cursors SET owner = ?3, epoch = epoch + 1 WHERE partition = ?1 AND grp = ?2
        AND owner IS NULL AND EXISTS (SELECT 1 FROM members WHERE id = ?3) RETURNING epoch, done_below";
    let found: Option<(i64, i64)> = connection
        .prepare_cached(statement)?
        .query_row(params![partition, group, member], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((epoch, below)) = found else { return Ok(None) };
    let mut done =
        connection.prepare_cached("SELECT position FROM done WHERE partition = ?1 AND grp = ?2")?;
    let done = done.query_map(params![partition, group], |row| Ok(row.get::<_, i64>(0)? as u64))?;
    let mut attempts = connection
        .prepare_cached("SELECT position, attempts FROM attempts WHERE partition = ?1 AND grp = ?2")?;
    let attempts = attempts
        .query_map(params![partition, group], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))?;
    Ok(Some(Taken {
        epoch,
        next: below as u64,
        done: done.collect::<rusqlite::Result<_>>()?,
        attempts: attempts.collect::<rusqlite::Result<_>>()?,
    }))
}

/// Lets partitions go, if they are still this member's; what comes back keeps its attempts.
pub(crate) fn let_go(connection: &Connection, (group, member): (i64, i64), gone: &[LetGo]) -> Result<()> {
    gone.iter().try_for_each(|one| let_go_one(connection, (group, member), one)).map_err(sql("let go"))
}

fn let_go_one(connection: &Connection, (group, member): (i64, i64), gone: &LetGo) -> rusqlite::Result<()> {
    let statement =
        "UPDATE cursors SET owner = NULL WHERE partition = ?1 AND grp = ?2 AND owner = ?3 AND epoch = ?4";
    let values = params![gone.partition, group, member, gone.epoch];
    if connection.prepare_cached(statement)?.execute(values)? == 0 {
        return Ok(());
    }
    for message in gone.returned.iter().filter(|message| message.attempts > 0) {
        attempted(connection, group, gone.partition, message.native, message.attempts)?;
    }
    Ok(())
}

/// Nobody owns what the member owned.
fn free(connection: &Connection, (group, member): (i64, i64)) -> rusqlite::Result<()> {
    let statement = "UPDATE cursors SET owner = NULL WHERE grp = ?1 AND owner = ?2";
    connection.execute(statement, [group, member]).map(|_| ())
}

fn attempted(
    connection: &Connection,
    group: i64,
    partition: i64,
    offset: u64,
    attempts: u32,
) -> rusqlite::Result<()> {
    let statement = "INSERT INTO attempts (partition, grp, position, attempts) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT DO UPDATE SET attempts = max(attempts, excluded.attempts)";
    let values = params![partition, group, offset as i64, attempts];
    connection.prepare_cached(statement)?.execute(values).map(|_| ())
}

/// Leaves the group.
pub(crate) fn leave(
    transaction: &mut Transaction<'_>,
    topic: i64,
    (group, member): (i64, i64),
    gone: &[LetGo],
) -> Result<()> {
    let_go(transaction.sql, (group, member), gone)?;
    // Also what it does not know to be its own: a commit may have taken effect without saying so.
    free(transaction.sql, (group, member)).map_err(sql("leave"))?;
    transaction.sql.execute("DELETE FROM members WHERE id = ?1", [member]).map_err(sql("leave"))?;
    transaction.changed.push(topic);
    Ok(())
}

/// Strikes a dead member off: its partitions are free, and what it had in hand has been attempted once more.
pub(crate) fn strike_off(
    transaction: &mut Transaction<'_>,
    topic: i64,
    (group, member): (i64, i64),
    handed: &[Entry],
) -> Result<()> {
    let connection = transaction.sql;
    let strike = || {
        if connection.execute("DELETE FROM members WHERE id = ?1", [member])? == 0 {
            // Somebody else was faster, or it left in good order.
            return Ok(());
        }
        let mut owned = connection.prepare("SELECT partition FROM cursors WHERE grp = ?1 AND owner = ?2")?;
        let owned = owned.query_map([group, member], |row| row.get::<_, i64>(0))?;
        let owned: BTreeSet<i64> = owned.collect::<rusqlite::Result<_>>()?;
        for entry in handed::open_ones(connection, group, handed.to_vec())? {
            if owned.contains(&entry.partition) {
                attempted(connection, group, entry.partition, entry.offset, entry.attempt)?;
            }
        }
        free(connection, (group, member))
    };
    strike().map_err(sql("strike off"))?;
    transaction.changed.push(topic);
    Ok(())
}
