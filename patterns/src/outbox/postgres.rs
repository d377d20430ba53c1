//! The outbox on PostgreSQL.
//!
//! Two locks keep a key's order. A transaction that stages holds its keys' locks from before the ids are given until its
//! end, so of two transactions of a key the first to commit has the lower ids. And a relay deletes lanes' next rows in a
//! transaction that holds the lanes' locks, and commits it when the broker has confirmed them: a relay that dies, or is cut
//! off, gives back lanes and rows at once and together, by the server's own rollback.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use anybroker_core::Result;
use anybroker_core::kit::crc32;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use sqlx::postgres::{PgConnection, PgListener, PgRow, Postgres as Database};
use sqlx::{AssertSqlSafe, Row as _, Transaction};

use super::component::OUTBOX;
use super::row::LANES;
use super::{Batch, COUNTED, Finished, Limit, Quarantined, Row, Status, Store, Taken};
use crate::database::{Postgres, typed};

pub(super) const COLUMNS: &str = "id, lane, topic, key, message_id, attributes::text as attributes, payload, \
                       (extract(epoch from staged_at) * 1000000)::bigint as staged_at";
/// A relay that is silent in a transaction for longer loses it: it hangs.
const SILENT: Duration = Duration::from_secs(60);

impl Postgres {
    fn outbox(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(OUTBOX.fill(&self.names, sql))
    }

    /// The first half of a lock's name: each outbox has two kinds.
    pub(super) fn class(&self, kind: &str) -> i32 {
        crc32(format!("{}:{kind}", self.names.table("outbox")).as_bytes()) as i32
    }

    pub(super) fn channel(&self) -> String {
        self.names.table("outbox").replace('.', "_")
    }
}

#[async_trait]
impl Store for Postgres {
    type Connection = PgConnection;
    type Batch = PostgresBatch;

    async fn check(&self) -> Result<()> {
        Postgres::check(self, &OUTBOX).await
    }

    async fn stage(&self, connection: &mut PgConnection, rows: Vec<Row>) -> Result<()> {
        // In one order, so that two batches never wait for each other.
        let slots: BTreeSet<_> =
            rows.iter().filter(|row| row.key.is_some()).map(|row| row.slot() as i32).collect();
        let sql = self.outbox(
            "with held as materialized (select pg_advisory_xact_lock($1, slot) from unnest($2::int[]) slot),
                 all_held as materialized (select count(*) from held)
             insert into {outbox} (lane, topic, key, message_id, attributes, payload)
             select lane, topic, key, message_id, attributes::jsonb, payload
             from all_held, unnest($3::smallint[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::bytea[])
                 with ordinality as r(lane, topic, key, message_id, attributes, payload, at)
             order by at
             returning pg_notify($9, lane::text)",
        );
        let lanes: Vec<_> = rows.iter().map(|row| row.home() as i16).collect();
        let mut columns = Columns::default();
        rows.into_iter().for_each(|row| columns.push(row));
        let insert = sqlx::query(sql)
            .bind(self.class("key"))
            .bind(slots.into_iter().collect::<Vec<_>>())
            .bind(lanes)
            .bind(columns.topics)
            .bind(columns.keys)
            .bind(columns.message_ids)
            .bind(columns.attributes)
            .bind(columns.payloads)
            .bind(self.channel());
        insert.execute(connection).await.map(|_| ()).map_err(|error| typed("stage", error))
    }

    async fn waiting(&self) -> Result<Vec<u16>> {
        let sql = self.outbox(
            "select each.lane from generate_series(0, $1) as each(lane)
             where exists (select 1 from {outbox} o where o.lane = each.lane)
                or exists (select 1 from {outbox_quarantine} q where q.lane = each.lane and q.retry)",
        );
        let lanes = sqlx::query_scalar(sql).bind(i32::from(LANES) - 1).fetch_all(&self.pool).await;
        let lanes: Vec<i32> = lanes.map_err(|error| typed("relay", error))?;
        Ok(lanes.into_iter().map(|lane| lane as u16).collect())
    }

    async fn take(&self, _relay: &str, lanes: &[u16], limit: Limit) -> Result<Option<PostgresBatch>> {
        let failed = |error| typed("relay", error);
        let mut transaction = self.begin(begin()).await?;
        let lock = self.outbox(
            "select lane, exists (select 1 from {outbox_quarantine} q where q.lane = each.lane and retry)
             from (select lane, pg_try_advisory_xact_lock($1, lane) as locked from unnest($2::int[]) lane) each
             where locked",
        );
        let wanted: Vec<_> = lanes.iter().map(|&lane| i32::from(lane)).collect();
        let lock = sqlx::query_as::<_, (i32, bool)>(lock).bind(self.class("lane")).bind(wanted);
        // A statement of its own: what the next one sees begins after the lock, so with all that the last relay left. What
        // was marked for a retry just now is seen the next time: polling finds its lane.
        let locked = lock.fetch_all(&mut *transaction).await.map_err(failed)?;
        if locked.is_empty() {
            return Ok(None);
        }
        let mut batch = PostgresBatch { database: self.clone(), transaction, rows: Vec::new() };
        let lanes: Vec<_> = locked.iter().map(|(lane, _)| *lane as i16).collect();
        if locked.iter().any(|(_, retry)| *retry) {
            batch.release(&lanes).await?;
        }
        batch.take(&lanes, limit).await?;
        Ok(Some(batch).filter(|batch| !batch.rows.is_empty()))
    }

    async fn wakes(&self) -> Result<BoxStream<'static, u16>> {
        let failed = |error| typed("listen", error);
        let mut listener = PgListener::connect_with(&self.pool).await.map_err(failed)?;
        listener.listen(&self.channel()).await.map_err(failed)?;
        let lanes =
            listener.into_stream().filter_map(|told| async move { told.ok()?.payload().parse().ok() });
        Ok(lanes.boxed())
    }

    fn poll(&self) -> Duration {
        Duration::from_millis(500)
    }

    async fn status(&self) -> Result<Status> {
        let sql = self.outbox(
            "select (select count(*) from (select 1 from {outbox} limit $1) b) as backlog,
                    (select (extract(epoch from min(first.staged_at)) * 1000000)::bigint
                     from generate_series(0, $2) as each(lane) cross join lateral
                         (select staged_at from {outbox} o where o.lane = each.lane order by id limit 1) first) as oldest,
                    (select count(*) from (select 1 from {outbox_quarantine} limit $1) q) as quarantined",
        );
        let status =
            sqlx::query(sql).bind(COUNTED as i64 + 1).bind(i32::from(LANES) - 1).fetch_one(&self.pool).await;
        let read = |row: PgRow| {
            let oldest: Option<i64> = row.try_get("oldest")?;
            Ok(Status {
                backlog: row.try_get::<i64, _>("backlog")? as u64,
                oldest: oldest.map(time),
                quarantined: row.try_get::<i64, _>("quarantined")? as u64,
            })
        };
        status.and_then(read).map_err(|error| typed("status", error))
    }

    async fn quarantined(&self, after: i64, most: u32) -> Result<Vec<Quarantined>> {
        let sql = self.outbox(&format!(
            "select {COLUMNS}, reason, behind, (extract(epoch from quarantined_at) * 1000000)::bigint as quarantined_at
             from {{outbox_quarantine}} where id > $1 order by id limit $2"
        ));
        let rows = sqlx::query(sql).bind(after).bind(i64::from(most)).fetch_all(&self.pool).await;
        let read = |from: &PgRow| {
            Ok(Quarantined {
                row: row(from)?,
                reason: from.try_get("reason")?,
                behind: from.try_get("behind")?,
                at: time(from.try_get("quarantined_at")?),
            })
        };
        let rows = rows.and_then(|rows| rows.iter().map(read).collect::<sqlx::Result<_>>());
        rows.map_err(|error| typed("quarantined", error))
    }

    async fn retry(&self, id: i64) -> Result<bool> {
        let sql = self.outbox("update {outbox_quarantine} set retry = true where id = $1");
        let changed = sqlx::query(sql).bind(id).execute(&self.pool).await;
        changed.map(|done| done.rows_affected() > 0).map_err(|error| typed("retry", error))
    }

    async fn discard(&self, id: i64) -> Result<bool> {
        let sql = self.outbox(
            "with gone as (delete from {outbox_quarantine} where id = $1 returning lane, topic, key),
                 next as (update {outbox_quarantine} q set retry = true from gone
                          where (q.lane, q.topic, q.key) = (gone.lane, gone.topic, gone.key) and q.id <> $1)
             select count(*) from gone",
        );
        let gone = sqlx::query_scalar(sql).bind(id).fetch_one(&self.pool).await;
        gone.map(|gone: i64| gone > 0).map_err(|error| typed("discard", error))
    }
}

/// Begins a relay's transaction.
pub(super) fn begin() -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "begin isolation level read committed; set local synchronous_commit = off; \
         set local idle_in_transaction_session_timeout = {}",
        SILENT.as_millis()
    ))
}

/// Rows that are deleted in a transaction which is still open.
#[derive(Debug)]
pub struct PostgresBatch {
    database: Postgres,
    transaction: Transaction<'static, Database>,
    rows: Vec<Taken>,
}

impl PostgresBatch {
    /// Puts back, at their old places, the keys that somebody wants to be tried again.
    async fn release(&mut self, lanes: &[i16]) -> Result<()> {
        let sql = self.database.outbox(
            "with wanted as (select distinct id, topic, key from {outbox_quarantine} where lane = any($1) and retry),
                 back as (delete from {outbox_quarantine} q using wanted w
                          where q.lane = any($1) and (q.id = w.id or (q.topic, q.key) = (w.topic, w.key)) returning q.*)
             insert into {outbox} (lane, id, topic, key, message_id, attributes, payload, staged_at)
             overriding system value
             select lane, id, topic, key, message_id, attributes, payload, staged_at from back",
        );
        let released = sqlx::query(sql).bind(lanes).execute(&mut *self.transaction).await;
        released.map(|_| ()).map_err(|error| typed("relay", error))
    }

    async fn take(&mut self, lanes: &[i16], limit: Limit) -> Result<()> {
        let sql = self.database.outbox(&format!(
            "delete from {{outbox}} o where ctid = any(array(
                 select place from unnest($1) as each(lane) cross join lateral (
                     select ctid as place, size, sum(size) over (order by id) as upto from (
                         select ctid, id, octet_length(payload) + 200 as size from {{outbox}} o
                         where o.lane = each.lane order by id limit $2) next) sized
                 where upto - size < $3))
             returning {COLUMNS}, key is not null and (topic, key) in
                 (select topic, key from {{outbox_quarantine}} where lane = any($1) and key is not null) as behind"
        ));
        let rows = sqlx::query(sql)
            .bind(lanes)
            .bind(i64::from(limit.rows))
            .bind(limit.bytes as i64)
            .fetch_all(&mut *self.transaction)
            .await;
        let taken = |from: &PgRow| Ok(Taken { row: row(from)?, behind: from.try_get("behind")? });
        let rows = rows.and_then(|rows| rows.iter().map(taken).collect::<sqlx::Result<Vec<_>>>());
        self.rows = rows.map_err(|error| typed("relay", error))?;
        self.rows.sort_unstable_by_key(|taken| taken.row.id);
        Ok(())
    }

    async fn insert(
        &mut self,
        sql: &str,
        rows: Vec<Row>,
        reasons: Vec<String>,
        behind: Vec<bool>,
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut columns = Columns::default();
        rows.into_iter().for_each(|row| columns.push(row));
        let insert = sqlx::query(self.database.outbox(sql))
            .bind(columns.lanes)
            .bind(columns.ids)
            .bind(columns.topics)
            .bind(columns.keys)
            .bind(columns.message_ids)
            .bind(columns.attributes)
            .bind(columns.payloads)
            .bind(columns.staged_at)
            .bind(reasons)
            .bind(behind);
        insert.execute(&mut *self.transaction).await.map(|_| ()).map_err(|error| typed("relay", error))
    }
}

const FROM_ARRAYS: &str = "unnest($1::smallint[], $2::bigint[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::bytea[], \
                           $8::bigint[], $9::text[], $10::bool[]) \
                           as r(lane, id, topic, key, message_id, attributes, payload, staged_at, reason, behind)";

#[async_trait]
impl Batch for PostgresBatch {
    fn rows(&mut self) -> Vec<Taken> {
        std::mem::take(&mut self.rows)
    }

    /// The transaction itself says so: while it is open, nobody else has its lanes.
    async fn keep(&mut self) -> Result<()> {
        let alive = sqlx::query("select 1").execute(&mut *self.transaction).await;
        alive.map(|_| ()).map_err(|error| typed("relay", error))
    }

    async fn finish(mut self, done: Finished) -> Result<()> {
        let count = done.back.len();
        let back = format!(
            "insert into {{outbox}} (lane, id, topic, key, message_id, attributes, payload, staged_at)
             overriding system value
             select lane, id, topic, key, message_id, attributes::jsonb, payload, to_timestamp(staged_at / 1e6)
             from {FROM_ARRAYS}"
        );
        self.insert(&back, done.back, vec![String::new(); count], vec![false; count]).await?;
        let (mut rows, mut reasons, mut behind) = (Vec::new(), Vec::new(), Vec::new());
        for refused in done.refused {
            rows.push(refused.row);
            reasons.push(refused.reason);
            behind.push(refused.behind);
        }
        let aside = format!(
            "insert into {{outbox_quarantine}}
                 (lane, id, topic, key, message_id, attributes, payload, staged_at, reason, behind)
             select lane, id, topic, key, message_id, attributes::jsonb, payload, to_timestamp(staged_at / 1e6), reason, behind
             from {FROM_ARRAYS}"
        );
        self.insert(&aside, rows, reasons, behind).await?;
        self.transaction.commit().await.map_err(|error| typed("commit", error))
    }
}

/// Rows as arrays, a column each.
#[derive(Debug, Default)]
struct Columns {
    ids: Vec<i64>,
    lanes: Vec<i16>,
    topics: Vec<String>,
    keys: Vec<Option<Vec<u8>>>,
    message_ids: Vec<String>,
    attributes: Vec<Option<String>>,
    payloads: Vec<Vec<u8>>,
    staged_at: Vec<i64>,
}

impl Columns {
    fn push(&mut self, row: Row) {
        self.ids.push(row.id);
        self.lanes.push(row.lane as i16);
        self.topics.push(row.topic);
        self.keys.push(row.key);
        self.message_ids.push(row.message_id);
        self.attributes.push(row.attributes);
        self.payloads.push(row.payload);
        let since = row.staged_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.staged_at.push(since.as_micros() as i64);
    }
}

pub(super) fn row(from: &PgRow) -> sqlx::Result<Row> {
    Ok(Row {
        id: from.try_get("id")?,
        lane: from.try_get::<i16, _>("lane")? as u16,
        topic: from.try_get("topic")?,
        key: from.try_get("key")?,
        message_id: from.try_get("message_id")?,
        attributes: from.try_get("attributes")?,
        payload: from.try_get("payload")?,
        staged_at: time(from.try_get("staged_at")?),
    })
}

pub(super) fn time(micros: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros.max(0) as u64)
}
