//! The log as a store of the relay's.

use std::collections::BTreeSet;
use std::time::Duration;

use anybroker_core::{Error, Kind, Result};
use async_trait::async_trait;
use futures::stream::BoxStream;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::batch::LogBatch;
use super::{PostgresLog, entry};
use crate::database::{Postgres, typed};
use crate::outbox::component::OUTBOX;
use crate::outbox::postgres::{begin, time};
use crate::outbox::{COUNTED, Limit, Quarantined, Row, Status, Store};

#[async_trait]
impl Store for PostgresLog {
    type Connection = PgConnection;
    type Batch = LogBatch;

    async fn check(&self) -> Result<()> {
        Postgres::check(&self.database, &OUTBOX).await?;
        self.check_slot().await
    }

    async fn stage(&self, connection: &mut PgConnection, rows: Vec<Row>) -> Result<()> {
        // In one order, so that two batches never wait for each other.
        let slots: BTreeSet<_> =
            rows.iter().filter(|row| row.key.is_some()).map(|row| row.slot() as i32).collect();
        let entries = rows.into_iter().map(entry::encode).collect::<Result<Vec<_>>>()?;
        let count = entries.len();
        // A place in the log says a key's order, as an id does in the table: the key's lock comes first.
        let stage = sqlx::query(
            "with held as materialized (select pg_advisory_xact_lock($1, slot) from unnest($2::int[]) slot),
                 all_held as materialized (select count(*) from held),
                 kept as materialized (select slot_name from pg_replication_slots
                     where slot_name = $3 and wal_status is distinct from 'lost')
             select pg_logical_emit_message(true, $3, content), pg_notify($4, '0')
             from all_held, kept, unnest($5::bytea[]) with ordinality as r(content, at) order by at",
        );
        let stage = stage
            .bind(self.database.class("key"))
            .bind(slots.into_iter().collect::<Vec<_>>())
            .bind(self.slot())
            .bind(self.database.channel())
            .bind(entries);
        let staged = stage.fetch_all(connection).await.map_err(|error| typed("stage", error))?;
        if staged.len() == count {
            return Ok(());
        }
        let text = format!(
            "nobody keeps the log for the outbox: the replication slot {} is missing, or lost",
            self.slot()
        );
        Err(Error::new(Kind::NotFound, "stage", text)
            .advice("call PostgresLog::create; roll this transaction back"))
    }

    async fn waiting(&self) -> Result<Vec<u16>> {
        let sql = self.sql(
            "select exists (select 1 from {outbox_quarantine} where retry)
                 or exists (select 1 from pg_replication_slots
                     where slot_name = $1 and confirmed_flush_lsn < pg_current_wal_flush_lsn())",
        );
        let any = sqlx::query_scalar(sql).bind(self.slot()).fetch_one(self.database.pool()).await;
        let any: bool = any.map_err(|error| typed("relay", error))?;
        Ok(if any { vec![0] } else { Vec::new() })
    }

    async fn take(&self, _relay: &str, _lanes: &[u16], limit: Limit) -> Result<Option<LogBatch>> {
        let mut transaction = self.database.begin(begin()).await?;
        let lock = self.sql(
            "select pg_try_advisory_xact_lock($1, 0), (pg_current_wal_flush_lsn() - '0/0')::bigint,
                    exists (select 1 from {outbox_quarantine} where retry)",
        );
        let lock = sqlx::query_as::<_, (bool, i64, bool)>(lock).bind(self.database.class("lane"));
        let lock = lock.fetch_one(&mut *transaction).await;
        // What the last relay set aside, only later statements see for certain.
        let (locked, upto, retry) = lock.map_err(|error| typed("relay", error))?;
        if !locked {
            return Ok(None);
        }
        let read = match retry {
            true => self.wanted(&mut transaction, limit).await?,
            false => self.read_ours(&mut transaction, upto, limit).await?,
        };
        if read.rows.is_empty() {
            transaction.commit().await.map_err(|error| typed("commit", error))?;
            return Ok(None);
        }
        Ok(Some(LogBatch { log: self.clone(), transaction, rows: read.rows, from: read.from }))
    }

    async fn wakes(&self) -> Result<BoxStream<'static, u16>> {
        self.database.wakes().await
    }

    fn poll(&self) -> Duration {
        self.database.poll()
    }

    /// Counts what the log has, which reads it: seconds, if the relay was away for long.
    async fn status(&self) -> Result<Status> {
        let failed = |error| typed("status", error);
        // One at a time reads a slot; the relay does so for milliseconds.
        let mut transaction =
            self.database.begin(AssertSqlSafe("begin; set local lock_timeout = 10000".to_owned())).await?;
        let lock = sqlx::query("select pg_advisory_xact_lock($1, 0)").bind(self.database.class("lane"));
        lock.execute(&mut *transaction).await.map_err(failed)?;
        let sql = self.sql(
            "with changes as materialized (
                 select xid, data from pg_logical_slot_peek_binary_changes($1, null, $2,
                     'proto_version', '1', 'publication_names', $1, 'messages', 'true')),
                 ours as materialized (select xid from changes where get_byte(data, 0) = 77
                     and substring(data from 11 for octet_length($1) + 1) = convert_to($1, 'UTF8') || '\\x00'::bytea)
             select (select count(*) from ours),
                    (select min(('x' || encode(substring(data from 10 for 8), 'hex'))::bit(64)::bigint) + 946684800000000
                     from changes where get_byte(data, 0) = 66 and xid in (select xid from ours)),
                    (select count(*) from (select 1 from {outbox_quarantine} limit $2) q)",
        );
        let status =
            sqlx::query_as::<_, (i64, Option<i64>, i64)>(sql).bind(self.slot()).bind(COUNTED as i32 + 1);
        let (backlog, oldest, quarantined) = status.fetch_one(&mut *transaction).await.map_err(failed)?;
        let ahead = self.ahead.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len() as u64;
        Ok(Status {
            backlog: (backlog as u64).saturating_sub(ahead),
            oldest: oldest.map(time),
            quarantined: quarantined as u64,
        })
    }

    async fn quarantined(&self, after: i64, most: u32) -> Result<Vec<Quarantined>> {
        self.database.quarantined(after, most).await
    }

    async fn retry(&self, id: i64) -> Result<bool> {
        self.database.retry(id).await
    }

    async fn discard(&self, id: i64) -> Result<bool> {
        self.database.discard(id).await
    }
}
