//! The replication slot, which says how far the log has been relayed.

use anybroker_core::{Error, Kind, Result};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::PostgresLog;
use super::decode::written;
use crate::database::typed;

impl PostgresLog {
    /// Makes slot and publication, if they are missing. What was staged before is in no slot's log, so staging is refused
    /// until then.
    ///
    /// # Errors
    /// `InvalidConfiguration` (`wal_level`, or the slot's name is another database's), `PermissionDenied`, `Disconnected`.
    ///
    /// # Cancel safety
    /// Cancel safe: what is missing then, the next call makes.
    pub async fn create(&self) -> Result<()> {
        let failed = |error| typed("create slot", error);
        let pool = self.database.pool();
        let level = sqlx::query_scalar("select current_setting('wal_level')").fetch_one(pool).await;
        let level: String = level.map_err(failed)?;
        if level != "logical" {
            let text = format!("the server's log has no logical entries: wal_level is {level}");
            return Err(Error::new(Kind::InvalidConfiguration, "create slot", text)
                .advice("set wal_level=logical and restart the server, or use the table's outbox"));
        }
        let slot = self.slot();
        let there = sqlx::query_scalar("select exists (select 1 from pg_publication where pubname = $1)");
        if !there.bind(&slot).fetch_one(pool).await.map_err(failed)? {
            // Of no table: what is published is the log's messages.
            let publication = AssertSqlSafe(format!("create publication \"{slot}\""));
            sqlx::raw_sql(publication).execute(pool).await.map_err(failed)?;
        }
        let there =
            sqlx::query_scalar("select exists (select 1 from pg_replication_slots where slot_name = $1)");
        if !there.bind(&slot).fetch_one(pool).await.map_err(failed)? {
            let create = sqlx::query("select pg_create_logical_replication_slot($1, 'pgoutput')");
            create.bind(&slot).execute(pool).await.map_err(failed)?;
        }
        self.check_slot().await
    }

    /// Drops slot and publication, **with everything that was not relayed**. The server may delete its log then.
    ///
    /// # Errors
    /// `PermissionDenied`, `Disconnected`; `Unexpected` while a relay reads it.
    ///
    /// # Cancel safety
    /// Cancel safe: what is left then, the next call drops.
    pub async fn remove(&self) -> Result<()> {
        let failed = |error| typed("remove slot", error);
        let slot = self.slot();
        let drop = sqlx::query(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots
             where slot_name = $1 and database = current_database()",
        );
        drop.bind(&slot).execute(self.database.pool()).await.map_err(failed)?;
        let publication = AssertSqlSafe(format!("drop publication if exists \"{slot}\""));
        sqlx::raw_sql(publication).execute(self.database.pool()).await.map(|_| ()).map_err(failed)
    }

    /// Looks whether the slot is there, this database's, and whole.
    pub(super) async fn check_slot(&self) -> Result<()> {
        let slot = self.slot();
        let state = sqlx::query_as::<_, (bool, bool)>(
            "select database is not distinct from current_database()::text and plugin = 'pgoutput',
                    wal_status is distinct from 'lost'
             from pg_replication_slots where slot_name = $1",
        );
        let state = state.bind(&slot).fetch_optional(self.database.pool()).await;
        let (text, advice) = match state.map_err(|error| typed("check slot", error))? {
            Some((true, true)) => return Ok(()),
            None => ("does not exist", "call PostgresLog::create before the first message is staged"),
            Some((false, _)) => {
                ("is another's: slots are named for the whole server", "give the tables other names")
            }
            Some((true, false)) => (
                "has lost messages: the server deleted its log before the relay read it (max_slot_wal_keep_size)",
                "find what was not published from the application's own data; then PostgresLog::remove and create",
            ),
        };
        let text = format!("the replication slot {slot} {text}");
        Err(Error::new(Kind::InvalidConfiguration, "check slot", text).advice(advice))
    }

    /// Says that the log has been relayed up to a place.
    pub(super) async fn advance(&self, connection: &mut PgConnection, end: i64) -> Result<()> {
        let advance = sqlx::query(
            "select pg_replication_slot_advance(slot_name, $2::text::pg_lsn) from pg_replication_slots
             where slot_name = $1 and confirmed_flush_lsn < $2::text::pg_lsn",
        );
        let advance = advance.bind(self.slot()).bind(written(end)).execute(connection).await;
        advance.map(|_| ()).map_err(|error| typed("relay", error))
    }
}
