//! The event store in SQLite, where one transaction writes at a time: positions are drawn in the order of commits.

use std::sync::Arc;

use anybroker_core::{Result, async_trait};
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{AssertSqlSafe, Connection, QueryBuilder};
use tokio::sync::Notify;

use super::component::COMPONENT;
use super::event::{NewEvent, Recorded, to_micros};
use super::rows::{self, COLUMNS};
use super::store::{Append, Head, Look, Placed, Scan, Scanned, Store, StoredSnapshot};
use crate::database::{Sqlite, typed};

/// Rows of one statement; each has 11 variables, of which SQLite takes 32,766.
const ROWS: usize = 100;

impl Sqlite {
    fn events(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(COMPONENT.fill(&self.names, &sql.replace("{COLUMNS}", COLUMNS)))
    }

    /// Moves the stream to its new version if it has the expected one; the version before.
    async fn take(
        &self,
        connection: &mut SqliteConnection,
        append: &Append<'_>,
    ) -> sqlx::Result<Option<i64>> {
        let count = append.events.len() as i64;
        let expected = append.expected.map(|version| version as i64);
        let sql = self.events(
            "update {event_streams} set version = version + ?1 where stream = ?2 and archived_at is null \
             and (?3 is null or version = ?3) returning version - ?1",
        );
        let query = sqlx::query_scalar(sql).bind(count).bind(append.stream).bind(expected);
        if let Some(base) = query.fetch_optional(&mut *connection).await? {
            return Ok(Some(base));
        }
        if expected.is_some_and(|version| version != 0) {
            return Ok(None);
        }
        let sql = self.events(
            "insert into {event_streams} (stream, version) values (?, ?) on conflict do nothing returning 0",
        );
        sqlx::query_scalar(sql).bind(append.stream).bind(count).fetch_optional(connection).await
    }

    async fn insert(
        &self,
        connection: &mut SqliteConnection,
        stream: &str,
        base: i64,
        events: &[&NewEvent],
    ) -> sqlx::Result<Vec<u64>> {
        let mut positions: Vec<i64> = Vec::with_capacity(events.len());
        for (chunk, events) in events.chunks(ROWS).enumerate() {
            let head = self.events(
                "insert into {events} (stream, version, event_id, type, schema_version, occurred_at, \
                 correlation, causation, actor, headers, data) ",
            );
            let mut query = QueryBuilder::<sqlx::Sqlite>::new(head.0);
            query.push_values(events.iter().enumerate(), |mut row, (at, event)| {
                let metadata = &event.metadata;
                row.push_bind(stream)
                    .push_bind(base + (chunk * ROWS + at) as i64 + 1)
                    .push_bind(metadata.id.to_string())
                    .push_bind(&event.event_type)
                    .push_bind(event.schema_version as i32)
                    .push_bind(to_micros(metadata.time))
                    .push_bind(&metadata.correlation)
                    .push_bind(&metadata.causation)
                    .push_bind(&metadata.actor)
                    .push_bind(event.headers())
                    .push_bind(&event.data[..]);
            });
            query.push(" returning position");
            positions.extend(query.build_query_scalar::<i64>().fetch_all(&mut *connection).await?);
        }
        positions.sort_unstable();
        Ok(positions.into_iter().map(|position| position as u64).collect())
    }
}

#[async_trait]
impl Store for Sqlite {
    type Database = sqlx::Sqlite;

    fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    async fn check(&self) -> Result<()> {
        Sqlite::check(self, &COMPONENT).await
    }

    async fn begin(&self) -> Result<super::Transaction<Self>> {
        self.pool.begin_with("begin immediate").await.map_err(|error| typed("begin", error))
    }

    async fn append(
        &self,
        connection: &mut SqliteConnection,
        appends: &[Append<'_>],
        _notify: bool,
    ) -> Result<Vec<Option<Placed>>> {
        let failed = |error| typed("append", error);
        // In the caller's transaction, a savepoint: all of it or nothing.
        let mut all = connection.begin().await.map_err(failed)?;
        let mut placed = Vec::with_capacity(appends.len());
        for append in appends {
            let Some(base) = self.take(&mut all, append).await.map_err(failed)? else {
                placed.push(None);
                continue;
            };
            let positions =
                self.insert(&mut all, append.stream, base, &append.events).await.map_err(failed)?;
            placed.push(Some(Placed { base: base as u64, positions }));
        }
        all.commit().await.map_err(failed)?;
        Ok(placed)
    }

    async fn head(&self, connection: &mut SqliteConnection, stream: &str) -> Result<Option<Head>> {
        let sql = self.events("select version, archived_at from {event_streams} where stream = ?");
        let row = sqlx::query_as::<_, (i64, Option<i64>)>(sql).bind(stream).fetch_optional(connection).await;
        let row = row.map_err(|error| typed("read streams", error))?;
        Ok(row.map(|(version, archived_at)| Head { version: version as u64, archived_at }))
    }

    async fn archive(
        &self,
        connection: &mut SqliteConnection,
        stream: &str,
        at: Option<i64>,
    ) -> Result<bool> {
        let sql = self.events("update {event_streams} set archived_at = ?2 where stream = ?1");
        let done = sqlx::query(sql).bind(stream).bind(at).execute(connection).await;
        Ok(done.map_err(|error| typed("archive", error))?.rows_affected() > 0)
    }

    async fn archived(
        &self,
        connection: &mut SqliteConnection,
        after: &str,
        max: usize,
    ) -> Result<Vec<(String, i64)>> {
        let sql = self.events(
            "select stream, archived_at from {event_streams} \
             where archived_at is not null and stream > ? order by stream limit ?",
        );
        let rows = sqlx::query_as(sql).bind(after).bind(max as i64).fetch_all(connection).await;
        rows.map_err(|error| typed("read streams", error))
    }

    async fn read(
        &self,
        connection: &mut SqliteConnection,
        stream: &str,
        from: u64,
        max: usize,
    ) -> Result<Vec<Result<Recorded>>> {
        let sql = self.events(
            "select {COLUMNS} from {events} where stream = ? and version >= ? order by version limit ?",
        );
        let query = sqlx::query(sql).bind(stream).bind(from as i64).bind(max as i64);
        let found = query.fetch_all(connection).await.map_err(|error| typed("read events", error))?;
        found.iter().map(|row| rows::scanned(row).map(|scanned| scanned.event)).collect()
    }

    async fn scan(&self, connection: &mut SqliteConnection, scan: Scan<'_>) -> Result<Vec<Scanned>> {
        let sql = self.events(
            "select {COLUMNS} from {events} where position > ?1 and (position > ?2 \
             or ((?3 = '[]' or type in (select value from json_each(?3))) and substr(stream, 1, length(?4)) = ?4)) \
             order by position limit ?5",
        );
        let types = serde_json::to_string(scan.filter.types()).unwrap_or_default();
        let query = sqlx::query(sql)
            .bind(scan.after as i64)
            .bind(scan.settled as i64)
            .bind(types)
            .bind(scan.filter.prefix())
            .bind(scan.max as i64);
        let found = query.fetch_all(connection).await.map_err(|error| typed("read events", error))?;
        found.iter().map(rows::scanned).collect()
    }

    async fn look(&self, connection: &mut SqliteConnection) -> Result<Look> {
        let sql = self.events("select coalesce(max(position), 0) from {events}");
        let newest: i64 =
            sqlx::query_scalar(sql).fetch_one(connection).await.map_err(|error| typed("subscribe", error))?;
        Ok(Look { newest: newest as u64, writers: Vec::new() })
    }

    async fn snapshot(
        &self,
        connection: &mut SqliteConnection,
        stream: &str,
    ) -> Result<Option<StoredSnapshot>> {
        let sql = self.events(
            "select version, snapshot_version, taken_at, data from {event_snapshots} where stream = ?",
        );
        let row = sqlx::query_as(sql).bind(stream).fetch_optional(connection).await;
        Ok(row.map_err(|error| typed("read snapshots", error))?.map(rows::snapshot))
    }

    async fn put_snapshot(
        &self,
        connection: &mut SqliteConnection,
        stream: &str,
        snapshot: &StoredSnapshot,
    ) -> Result<()> {
        let sql = self.events(
            "insert into {event_snapshots} as s (stream, version, snapshot_version, taken_at, data) \
             values (?, ?, ?, ?, ?) on conflict (stream) do update set version = excluded.version, \
             snapshot_version = excluded.snapshot_version, taken_at = excluded.taken_at, data = excluded.data \
             where s.version < excluded.version or s.snapshot_version <> excluded.snapshot_version",
        );
        let query = sqlx::query(sql)
            .bind(stream)
            .bind(snapshot.version as i64)
            .bind(snapshot.snapshot_version as i32)
            .bind(snapshot.taken_at)
            .bind(&snapshot.data[..]);
        query.execute(connection).await.map_err(|error| typed("keep a snapshot", error))?;
        Ok(())
    }

    fn listen(&self, _wake: Arc<Notify>) -> Option<tokio::task::JoinHandle<()>> {
        None
    }
}
