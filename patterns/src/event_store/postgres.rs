//! The event store in PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Error, Kind, Result, async_trait};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgListener, PgPool};
use tokio::sync::Notify;

use super::component::COMPONENT;
use super::event::Recorded;
use super::rows::{self, COLUMNS};
use super::store::{Append, Head, Look, Placed, Scan, Scanned, Store, StoredSnapshot};
use super::{postgres_append, postgres_copy};
use crate::database::{Names, Postgres, typed};

/// The first half of the key of the lock that every writer shares; the second is the table's object id, which is the same
/// for whatever search path or role.
pub(super) const WRITING: i32 = 0x616e_7965;

/// How long to wait before listening again after the connection was lost.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// One statement, whose snapshot is older than its look at the locks: who had drawn a position up to `newest` is among the
/// holders, or its events are visible to the next statement, or it was rolled back. A prepared transaction has another
/// name than it had before.
const LOOK: &str = "
select coalesce((select max(position) from {events}), 0),
       array(select virtualtransaction from pg_locks
             where locktype = 'advisory' and granted and objsubid = 2
               and database = (select oid from pg_database where datname = current_database())
               and classid = {WRITING} and objid = '{events}'::regclass),
       pg_is_in_recovery()";

pub(super) fn fill(names: &Names, sql: &str) -> String {
    COMPONENT.fill(names, sql)
}

impl Postgres {
    fn events(&self, sql: &str) -> AssertSqlSafe<String> {
        let sql = sql.replace("{WRITING}", &WRITING.to_string());
        // An id is read as text, the same on both databases.
        let columns = COLUMNS.replace("event_id", "event_id::text");
        AssertSqlSafe(fill(&self.names, &sql.replace("{COLUMNS}", &columns)))
    }

    /// A subscriber would take an event that is hidden from it for one that was never written; and `COPY` refuses.
    async fn check_policies(&self) -> Result<()> {
        let active = sqlx::query_scalar(self.events("select row_security_active('{events}'::regclass::oid)"));
        if !active.fetch_one(&self.pool).await.map_err(|error| typed("check tables", error))? {
            return Ok(());
        }
        let text = format!("row-level security of {} holds for this role", self.names.table("events"));
        Err(Error::new(Kind::Unsupported, "check tables", text)
            .advice("use the tables' owner, or a role with `bypassrls`"))
    }
}

#[async_trait]
impl Store for Postgres {
    type Database = sqlx::Postgres;

    fn pool(&self) -> &PgPool {
        &self.pool
    }

    async fn check(&self) -> Result<()> {
        Postgres::check(self, &COMPONENT).await?;
        self.check_policies().await?;
        let cache = "select seqcache from pg_sequence where seqrelid = pg_get_serial_sequence('{events}', 'position')::regclass";
        let cache = sqlx::query_scalar::<_, i64>(self.events(cache)).fetch_optional(&self.pool).await;
        if cache.map_err(|error| typed("check tables", error))? == Some(1) {
            return Ok(());
        }
        let text = format!(
            "the positions of {} are not drawn one by one: it was changed by hand",
            self.names.table("events")
        );
        Err(Error::new(Kind::InvalidConfiguration, "check tables", text).advice(
            "let its identity column have a sequence with `cache 1`, or subscribers would lose events",
        ))
    }

    async fn begin(&self) -> Result<super::Transaction<Self>> {
        Postgres::begin(self, "begin").await
    }

    async fn append(
        &self,
        connection: &mut PgConnection,
        appends: &[Append<'_>],
        notify: bool,
    ) -> Result<Vec<Option<Placed>>> {
        if appends.iter().map(|append| append.events.len()).sum::<usize>() < postgres_copy::MANY {
            return postgres_append::append(&self.names, connection, appends, notify).await;
        }
        postgres_copy::append(&self.names, connection, appends, notify).await
    }

    /// While one waits for the disk, the other works.
    fn writers(&self) -> usize {
        2
    }

    async fn head(&self, connection: &mut PgConnection, stream: &str) -> Result<Option<Head>> {
        let sql = self.events("select version, archived_at from {event_streams} where stream = $1");
        let row = sqlx::query_as::<_, (i64, Option<i64>)>(sql).bind(stream).fetch_optional(connection).await;
        let row = row.map_err(|error| typed("read streams", error))?;
        Ok(row.map(|(version, archived_at)| Head { version: version as u64, archived_at }))
    }

    async fn archive(&self, connection: &mut PgConnection, stream: &str, at: Option<i64>) -> Result<bool> {
        let sql = self.events("update {event_streams} set archived_at = $2 where stream = $1");
        let done = sqlx::query(sql).bind(stream).bind(at).execute(connection).await;
        Ok(done.map_err(|error| typed("archive", error))?.rows_affected() > 0)
    }

    async fn archived(
        &self,
        connection: &mut PgConnection,
        after: &str,
        max: usize,
    ) -> Result<Vec<(String, i64)>> {
        let sql = self.events(
            "select stream, archived_at from {event_streams} \
             where archived_at is not null and stream > $1 order by stream limit $2",
        );
        let rows = sqlx::query_as(sql).bind(after).bind(max as i64).fetch_all(connection).await;
        rows.map_err(|error| typed("read streams", error))
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        stream: &str,
        from: u64,
        max: usize,
    ) -> Result<Vec<Result<Recorded>>> {
        let sql = self.events(
            "select {COLUMNS} from {events} where stream = $1 and version >= $2 order by version limit $3",
        );
        let query = sqlx::query(sql).bind(stream).bind(from as i64).bind(max as i64);
        let found = query.fetch_all(connection).await.map_err(|error| typed("read events", error))?;
        found.iter().map(|row| rows::scanned(row).map(|scanned| scanned.event)).collect()
    }

    async fn scan(&self, connection: &mut PgConnection, scan: Scan<'_>) -> Result<Vec<Scanned>> {
        let sql = self.events(
            "select {COLUMNS} from {events} where position > $1 and (position > $2 \
             or ((cardinality($3::text[]) = 0 or type = any ($3)) and starts_with(stream, $4))) \
             order by position limit $5",
        );
        let query = sqlx::query(sql)
            .bind(scan.after as i64)
            .bind(scan.settled as i64)
            .bind(scan.filter.types())
            .bind(scan.filter.prefix())
            .bind(scan.max as i64);
        let found = query.fetch_all(connection).await.map_err(|error| typed("read events", error))?;
        found.iter().map(rows::scanned).collect()
    }

    async fn look(&self, connection: &mut PgConnection) -> Result<Look> {
        let look =
            sqlx::query_as::<_, (i64, Vec<String>, bool)>(self.events(LOOK)).fetch_one(connection).await;
        let (newest, writers, replica) = look.map_err(|error| typed("subscribe", error))?;
        if replica {
            let text = "a replica does not know who is writing";
            return Err(
                Error::new(Kind::Unsupported, "subscribe", text).advice("subscribe at the primary server")
            );
        }
        Ok(Look { newest: newest as u64, writers })
    }

    async fn snapshot(&self, connection: &mut PgConnection, stream: &str) -> Result<Option<StoredSnapshot>> {
        let sql = self.events(
            "select version, snapshot_version, taken_at, data from {event_snapshots} where stream = $1",
        );
        let row = sqlx::query_as(sql).bind(stream).fetch_optional(connection).await;
        Ok(row.map_err(|error| typed("read snapshots", error))?.map(rows::snapshot))
    }

    async fn put_snapshot(
        &self,
        connection: &mut PgConnection,
        stream: &str,
        snapshot: &StoredSnapshot,
    ) -> Result<()> {
        let sql = self.events(
            "insert into {event_snapshots} as s (stream, version, snapshot_version, taken_at, data) \
             values ($1, $2, $3, $4, $5) on conflict (stream) do update set version = excluded.version, \
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

    fn listen(&self, wake: Arc<Notify>) -> Option<tokio::task::JoinHandle<()>> {
        let (pool, channel) = (self.pool.clone(), self.names.bare("events"));
        Some(tokio::spawn(async move {
            while !pool.is_closed() {
                if let Err(error) = listen(&pool, &channel, &wake).await {
                    tracing::debug!(%error, "cannot listen for new events; polling goes on");
                }
                tokio::time::sleep(LISTEN_AGAIN).await;
            }
        }))
    }
}

/// Until the connection is lost.
async fn listen(pool: &PgPool, channel: &str, wake: &Notify) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    // What was appended before is not announced.
    wake.notify_one();
    while listener.try_recv().await?.is_some() {
        wake.notify_one();
    }
    Ok(())
}
