//! Taking entries out of the log, and rows out of the quarantine.

use std::collections::{BTreeSet, HashSet};
use std::sync::PoisonError;
use std::time::SystemTime;

use anybroker_core::Result;
use futures::TryStreamExt;
use sqlx::postgres::{PgConnection, PgRow};

use super::PostgresLog;
use super::batch::{Commit, From};
use super::decode::Change;
use super::entry;
use crate::database::typed;
use crate::outbox::postgres::{COLUMNS, row};
use crate::outbox::{Limit, Row, Taken};

/// What a look at the log gave.
pub(super) struct Read {
    pub(super) rows: Vec<Taken>,
    pub(super) from: From,
}

impl PostgresLog {
    /// Rows of the quarantine that somebody wants to be tried again, with those of their keys.
    pub(super) async fn wanted(&self, connection: &mut PgConnection, limit: Limit) -> Result<Read> {
        let sql = self.sql(&format!(
            "select {COLUMNS} from {{outbox_quarantine}}
             where retry or (topic, key) in (select topic, key from {{outbox_quarantine}} where retry and key is not null)
             order by id limit $1"
        ));
        let rows = sqlx::query(sql).bind(i64::from(limit.rows)).fetch_all(connection).await;
        let taken = |from: &PgRow| Ok(Taken { row: row(from)?, behind: false });
        let rows = rows.and_then(|rows| rows.iter().map(taken).collect::<sqlx::Result<_>>());
        Ok(Read { rows: rows.map_err(|error| typed("relay", error))?, from: From::Quarantine })
    }

    /// The log's next commits that have something of ours. Those before, which have others' entries or what was published already,
    /// are let go, so that the server need not keep them.
    pub(super) async fn read_ours(
        &self,
        connection: &mut PgConnection,
        upto: i64,
        limit: Limit,
    ) -> Result<Read> {
        loop {
            let mut next = self.read(connection, upto, limit).await?;
            match &next.from {
                From::Log { commits, read } if next.rows.is_empty() => {
                    self.go_on(connection, commits, *read, &BTreeSet::new()).await?;
                    if read.is_some() {
                        return Ok(next);
                    }
                }
                _ => {
                    self.mark(connection, &mut next.rows).await?;
                    return Ok(next);
                }
            }
        }
    }

    /// The log's next commits, up to a place: whole, and at least one.
    async fn read(&self, connection: &mut PgConnection, upto: i64, limit: Limit) -> Result<Read> {
        let slot = self.slot();
        // Begin and commit count as well.
        let most = limit.rows.saturating_add(2).min(i32::MAX as u32) as i32;
        let peek = sqlx::query_scalar::<_, Vec<u8>>(
            "select data from pg_logical_slot_peek_binary_changes($1, $2::text::pg_lsn, $3,
                 'proto_version', '1', 'publication_names', $1, 'messages', 'true')",
        );
        let peek = peek.bind(&slot).bind(super::decode::written(upto)).bind(most);
        let mut changes = peek.fetch(&mut *connection);
        let (mut commits, mut rows, mut at) = (Vec::new(), Vec::new(), SystemTime::UNIX_EPOCH);
        let (mut places, mut bytes, mut count) = (Vec::new(), 0, 0);
        while let Some(data) = changes.try_next().await.map_err(|error| typed("relay", error))? {
            count += 1;
            match Change::read(&data)? {
                Change::Begin { at: begun } => at = begun,
                Change::Message { place, prefix, content } if prefix == slot.as_bytes() => {
                    let row = entry::decode(place, at, content)?;
                    bytes += row.size() as u64;
                    places.push(place);
                    rows.push(Taken { row, behind: false });
                }
                Change::Commit { end } => {
                    commits.push(Commit { places: std::mem::take(&mut places), end });
                    if bytes >= limit.bytes {
                        break;
                    }
                }
                Change::Message { .. } | Change::Other => {}
            }
        }
        drop(changes);
        // With fewer than were asked for, that was all.
        let read = (count < most && bytes < limit.bytes).then_some(upto);
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).clone();
        rows.retain(|taken| !ahead.contains(&taken.row.id));
        Ok(Read { rows, from: From::Log { commits, read } })
    }

    /// Marks the rows whose key has an earlier one in the quarantine.
    async fn mark(&self, connection: &mut PgConnection, rows: &mut [Taken]) -> Result<()> {
        let sql = self.sql(
            "select distinct topic, key from {outbox_quarantine} q
             join unnest($1::text[], $2::bytea[]) as r(topic, key) using (topic, key)",
        );
        let keyed = |taken: &Taken| Some((taken.row.topic.clone(), taken.row.key.clone()?));
        let (topics, keys): (Vec<_>, Vec<_>) = rows.iter().filter_map(keyed).unzip();
        let held =
            sqlx::query_as::<_, (String, Vec<u8>)>(sql).bind(topics).bind(keys).fetch_all(connection).await;
        let held: HashSet<_> = held.map_err(|error| typed("relay", error))?.into_iter().collect();
        let behind = |row: &Row| row.key.clone().is_some_and(|key| held.contains(&(row.topic.clone(), key)));
        rows.iter_mut().for_each(|taken| taken.behind = behind(&taken.row));
        Ok(())
    }
}
