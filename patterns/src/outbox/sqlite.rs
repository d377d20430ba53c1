//! The outbox on SQLite.
//!
//! There is one writer at a time, so ids are in the order of the commits. One relay is at work; it holds no transaction while
//! it publishes, since that would stop every other writer. Another takes over when it has given no sign of life for a while.

use std::time::{Duration, SystemTime};

use anybroker_core::{Error, Kind, Result};
use async_trait::async_trait;
use futures::stream::BoxStream;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row as _};

use super::component::OUTBOX;
use super::{Batch, COUNTED, Finished, Limit, Quarantined, Row, Status, Store, Taken};
use crate::database::{Sqlite, typed};

const COLUMNS: &str = "id, topic, key, message_id, attributes, payload, staged_at";
/// How long a relay may be silent before another takes over.
const LEASE: Duration = Duration::from_secs(5);
/// The milliseconds since 1970.
const NOW: &str = "cast(unixepoch('subsec') * 1000 as integer)";

impl Sqlite {
    fn outbox(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(OUTBOX.fill(&self.names, sql))
    }

    /// Makes a relay the one at work, or notes that it still is.
    async fn lease(&self, connection: &mut SqliteConnection, relay: &str) -> Result<bool> {
        let sql = self.outbox(&format!(
            "update {{outbox_relay}} set owner = $1, until = {NOW} + $2 where owner = $1 or until < {NOW}"
        ));
        let leased = sqlx::query(sql).bind(relay).bind(LEASE.as_millis() as i64).execute(connection).await;
        leased.map(|done| done.rows_affected() > 0).map_err(|error| typed("relay", error))
    }

    /// Puts back, at their old places, the keys that somebody wants to be tried again.
    async fn release(&self) -> Result<()> {
        let failed = |error| typed("relay", error);
        let wanted = self.outbox("select exists (select 1 from {outbox_quarantine} where retry)");
        if !sqlx::query_scalar::<_, bool>(wanted).fetch_one(&self.pool).await.map_err(failed)? {
            return Ok(());
        }
        let which = "(retry or (key is not null and (topic, key) in (select topic, key from {outbox_quarantine} where retry)))";
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
        for sql in [
            format!(
                "insert into {{outbox}} ({COLUMNS}) select {COLUMNS} from {{outbox_quarantine}} where {which}"
            ),
            // By id, since deleting takes away what `which` looks at.
            "delete from {outbox_quarantine} where id in (select id from {outbox})".to_owned(),
        ] {
            sqlx::query(self.outbox(&sql)).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(|error| typed("commit", error))
    }
}

#[async_trait]
impl Store for Sqlite {
    type Connection = SqliteConnection;
    type Batch = SqliteBatch;

    async fn check(&self) -> Result<()> {
        Sqlite::check(self, &OUTBOX).await
    }

    async fn stage(&self, connection: &mut SqliteConnection, rows: Vec<Row>) -> Result<()> {
        for row in rows {
            let sql = self.outbox(
                "insert into {outbox} (topic, key, message_id, attributes, payload) values (?, ?, ?, ?, ?)",
            );
            let insert = sqlx::query(sql)
                .bind(row.topic)
                .bind(row.key)
                .bind(row.message_id)
                .bind(row.attributes)
                .bind(row.payload);
            insert.execute(&mut *connection).await.map_err(|error| typed("stage", error))?;
        }
        Ok(())
    }

    async fn waiting(&self) -> Result<Vec<u16>> {
        let sql = self.outbox(
            "select exists (select 1 from {outbox}) or exists (select 1 from {outbox_quarantine} where retry)",
        );
        let any: bool =
            sqlx::query_scalar(sql).fetch_one(&self.pool).await.map_err(|error| typed("relay", error))?;
        Ok(if any { vec![0] } else { Vec::new() })
    }

    async fn take(&self, relay: &str, _lanes: &[u16], limit: Limit) -> Result<Option<SqliteBatch>> {
        let mut connection = self.pool.acquire().await.map_err(|error| typed("relay", error))?;
        if !self.lease(&mut connection, relay).await? {
            return Ok(None);
        }
        drop(connection);
        self.release().await?;
        let sql = self.outbox(&format!(
            "select {COLUMNS}, key is not null and (topic, key) in (select topic, key from {{outbox_quarantine}}) as behind
             from {{outbox}} order by id limit ?"
        ));
        let rows = sqlx::query(sql).bind(limit.rows).fetch_all(&self.pool).await;
        let taken = |from: &SqliteRow| Ok(Taken { row: row(from)?, behind: from.try_get("behind")? });
        let rows = rows.and_then(|rows| rows.iter().map(taken).collect::<sqlx::Result<Vec<_>>>());
        let mut rows = rows.map_err(|error| typed("relay", error))?;
        let mut size = 0;
        let fits = rows.iter().take_while(|taken| {
            let before = size;
            size += taken.row.size() as u64;
            before < limit.bytes
        });
        let fits = fits.count();
        rows.truncate(fits);
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(SqliteBatch { database: self.clone(), relay: relay.to_owned(), rows }))
    }

    async fn wakes(&self) -> Result<BoxStream<'static, u16>> {
        Err(Error::new(Kind::Unsupported, "listen", "SQLite tells nobody of a commit"))
    }

    fn poll(&self) -> Duration {
        Duration::from_millis(10)
    }

    async fn status(&self) -> Result<Status> {
        let sql = self.outbox(
            "select (select count(*) from (select 1 from {outbox} limit $1)) as backlog,
                    (select staged_at from {outbox} order by id limit 1) as oldest,
                    (select count(*) from (select 1 from {outbox_quarantine} limit $1)) as quarantined",
        );
        let status = sqlx::query(sql).bind(COUNTED as i64 + 1).fetch_one(&self.pool).await;
        let read = |row: SqliteRow| {
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
            "select {COLUMNS}, reason, behind, quarantined_at from {{outbox_quarantine}} where id > ? order by id limit ?"
        ));
        let rows = sqlx::query(sql).bind(after).bind(most).fetch_all(&self.pool).await;
        let read = |from: &SqliteRow| {
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
        let sql = self.outbox("update {outbox_quarantine} set retry = 1 where id = ?");
        let changed = sqlx::query(sql).bind(id).execute(&self.pool).await;
        changed.map(|done| done.rows_affected() > 0).map_err(|error| typed("retry", error))
    }

    async fn discard(&self, id: i64) -> Result<bool> {
        let failed = |error| typed("discard", error);
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
        let next = self.outbox(
            "update {outbox_quarantine} set retry = 1
             where id <> $1 and (topic, key) in (select topic, key from {outbox_quarantine} where id = $1)",
        );
        sqlx::query(next).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        let gone = self.outbox("delete from {outbox_quarantine} where id = $1");
        let gone = sqlx::query(gone).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(|error| typed("commit", error))?;
        Ok(gone.rows_affected() > 0)
    }
}

/// Rows that were read; nobody else relays while the lease holds.
#[derive(Debug)]
pub struct SqliteBatch {
    database: Sqlite,
    relay: String,
    rows: Vec<Taken>,
}

impl SqliteBatch {
    async fn hold(&self, connection: &mut SqliteConnection) -> Result<()> {
        if self.database.lease(connection, &self.relay).await? {
            return Ok(());
        }
        let text = "another relay has taken over: this one was silent for too long";
        Err(Error::new(Kind::Fenced, "relay", text)
            .advice("its last batch is published again, with the same ids"))
    }
}

#[async_trait]
impl Batch for SqliteBatch {
    fn rows(&mut self) -> Vec<Taken> {
        std::mem::take(&mut self.rows)
    }

    async fn keep(&mut self) -> Result<()> {
        let mut connection = self.database.pool.acquire().await.map_err(|error| typed("relay", error))?;
        self.hold(&mut connection).await
    }

    async fn finish(self, done: Finished) -> Result<()> {
        let failed = |error| typed("relay", error);
        let mut connection = self.database.pool.acquire().await.map_err(failed)?;
        let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
        self.hold(&mut transaction).await?;
        for refused in &done.refused {
            let sql = self.database.outbox(&format!(
                "insert into {{outbox_quarantine}} ({COLUMNS}, reason, behind)
                 select {COLUMNS}, ?, ? from {{outbox}} where id = ?"
            ));
            let insert = sqlx::query(sql).bind(&refused.reason).bind(refused.behind).bind(refused.row.id);
            insert.execute(&mut *transaction).await.map_err(failed)?;
        }
        let gone = done.done.into_iter().chain(done.refused.iter().map(|refused| refused.row.id));
        let gone = serde_json::Value::from(gone.collect::<Vec<_>>()).to_string();
        let sql = self.database.outbox("delete from {outbox} where id in (select value from json_each(?))");
        sqlx::query(sql).bind(gone).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(|error| typed("commit", error))
    }
}

fn row(from: &SqliteRow) -> sqlx::Result<Row> {
    Ok(Row {
        id: from.try_get("id")?,
        lane: 0,
        topic: from.try_get("topic")?,
        key: from.try_get("key")?,
        message_id: from.try_get("message_id")?,
        attributes: from.try_get("attributes")?,
        payload: from.try_get("payload")?,
        staged_at: time(from.try_get("staged_at")?),
    })
}

fn time(millis: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis.max(0) as u64)
}
