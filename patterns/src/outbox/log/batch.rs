//! Entries in a relay's hands.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anybroker_core::Result;
use async_trait::async_trait;
use sqlx::postgres::{PgConnection, Postgres as Database};
use sqlx::{AssertSqlSafe, Transaction};

use super::PostgresLog;
use crate::database::typed;
use crate::outbox::{Batch, Finished, Refused, Taken};

/// What one commit has of ours.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) places: Vec<i64>,
    pub(super) end: i64,
}

/// Entries that are done while an earlier one is not: the slot stands before them. Lost with the process, and then they are
/// published again.
pub(super) type Ahead = Arc<Mutex<BTreeSet<i64>>>;

/// Entries of the log, or rows of the quarantine that somebody wants to be tried again.
#[derive(Debug)]
pub struct LogBatch {
    pub(super) log: PostgresLog,
    /// Holds the lock by which there is one relay.
    pub(super) transaction: Transaction<'static, Database>,
    pub(super) rows: Vec<Taken>,
    pub(super) from: From,
}

/// Where the rows are.
#[derive(Debug)]
pub(super) enum From {
    /// In the log: by commit, in their order, and how far it was read if all was.
    Log {
        commits: Vec<Commit>,
        read: Option<i64>,
    },
    Quarantine,
}

#[async_trait]
impl Batch for LogBatch {
    fn rows(&mut self) -> Vec<Taken> {
        std::mem::take(&mut self.rows)
    }

    /// The transaction itself says so: while it is open, there is no other relay.
    async fn keep(&mut self) -> Result<()> {
        let alive = sqlx::query("select 1").execute(&mut *self.transaction).await;
        alive.map(|_| ()).map_err(|error| typed("relay", error))
    }

    async fn finish(mut self, done: Finished) -> Result<()> {
        match std::mem::replace(&mut self.from, From::Quarantine) {
            From::Quarantine => self.finish_retried(done).await?,
            From::Log { commits, read } => {
                let back: BTreeSet<_> = done.back.iter().map(|row| row.id).collect();
                // Committed before the slot goes on, and by itself: the slot is in no transaction.
                self.set_aside(done.refused).await?;
                self.log.go_on(&mut self.transaction, &commits, read, &back).await?;
            }
        }
        self.transaction.commit().await.map_err(|error| typed("commit", error))
    }
}

impl PostgresLog {
    /// Lets the slot go as far as it may.
    pub(super) async fn go_on(
        &self,
        connection: &mut PgConnection,
        commits: &[Commit],
        read: Option<i64>,
        back: &BTreeSet<i64>,
    ) -> Result<()> {
        let (end, ahead) = progress(commits, back, read);
        if let Some(end) = end {
            self.advance(connection, end).await?;
        }
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = ahead;
        Ok(())
    }
}

/// How far the slot may go, and what is done beyond.
fn progress(commits: &[Commit], back: &BTreeSet<i64>, read: Option<i64>) -> (Option<i64>, BTreeSet<i64>) {
    let waits = |commit: &Commit| commit.places.iter().any(|place| back.contains(place));
    let through = commits.iter().position(waits).unwrap_or(commits.len());
    let last = through.checked_sub(1).map(|last| commits[last].end);
    let end = if through == commits.len() { read.max(last) } else { last };
    let beyond = commits[through..].iter().flat_map(|commit| &commit.places);
    (end, beyond.copied().filter(|place| !back.contains(place)).collect())
}

impl LogBatch {
    async fn set_aside(&self, refused: Vec<Refused>) -> Result<()> {
        let sql = self.log.sql(
            "insert into {outbox_quarantine}
                 (lane, id, topic, key, message_id, attributes, payload, staged_at, reason, behind)
             values (0, $1, $2, $3, $4, $5::jsonb, $6, to_timestamp($7 / 1e6), $8, $9) on conflict (id) do nothing",
        );
        for Refused { row, reason, behind } in refused {
            let since = row.staged_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let insert = sqlx::query(AssertSqlSafe(sql.0.clone()))
                .bind(row.id)
                .bind(row.topic)
                .bind(row.key)
                .bind(row.message_id)
                .bind(row.attributes)
                .bind(row.payload)
                .bind(since.as_micros() as i64)
                .bind(reason)
                .bind(behind);
            insert.execute(self.log.database.pool()).await.map_err(|error| typed("relay", error))?;
        }
        Ok(())
    }

    /// What was published goes; what was refused again stays, and nobody wants it any more; the rest is wanted still.
    async fn finish_retried(&mut self, done: Finished) -> Result<()> {
        let gone = self.log.sql("delete from {outbox_quarantine} where id = any($1)");
        let gone = sqlx::query(gone).bind(done.done).execute(&mut *self.transaction).await;
        gone.map_err(|error| typed("relay", error))?;
        let stays = self
            .log
            .sql("update {outbox_quarantine} set retry = false, reason = $2, behind = $3 where id = $1");
        for Refused { row, reason, behind } in done.refused {
            let update = sqlx::query(AssertSqlSafe(stays.0.clone())).bind(row.id).bind(reason).bind(behind);
            update.execute(&mut *self.transaction).await.map_err(|error| typed("relay", error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_stops_before_what_is_to_be_tried_again() {
        let commit = |places: &[i64], end| Commit { places: places.to_vec(), end };
        let commits = [commit(&[1, 2], 10), commit(&[12, 13], 20), commit(&[21], 30)];
        let set = |of: &[i64]| of.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(progress(&commits, &set(&[]), Some(35)), (Some(35), set(&[])));
        assert_eq!(progress(&commits, &set(&[]), None), (Some(30), set(&[])));
        assert_eq!(progress(&commits, &set(&[12]), Some(35)), (Some(10), set(&[13, 21])));
        assert_eq!(progress(&commits, &set(&[1, 12]), Some(35)), (None, set(&[2, 13, 21])));
    }
}
