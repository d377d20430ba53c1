//! Projections in PostgreSQL.

use anybroker_core::{Result, async_trait};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::component::{COMPONENT, fill};
use super::store::{Fields, Store, Value, bind};
use crate::database::{Names, Postgres, typed};
use crate::event_store::Transaction;

/// A process that hangs with its connection alive is given up by the server after so many milliseconds.
const BEGIN: &str =
    "begin isolation level read committed; set local idle_in_transaction_session_timeout = 60000";

/// Readers wait while the tables change, and may be the ones that are in the way: this gives up first, and sooner than the
/// server looks for deadlocks, so that it is never a reader who fails.
const IMPATIENT: &str = "set local lock_timeout = 300";

/// A view with other columns cannot be replaced, only made again.
const OTHER_COLUMNS: &str = "42P16";

impl Postgres {
    fn statement(&self, sql: &str) -> String {
        let sql = sql
            .replace("{for update}", "for update")
            .replace("{each $3}", "json_array_elements_text($3::json)");
        fill(&self.names, &sql)
    }
}

#[async_trait]
impl Store for Postgres {
    fn names(&self) -> &Names {
        &self.names
    }

    async fn check_projections(&self) -> Result<()> {
        self.check(&COMPONENT).await
    }

    async fn begin_applying(&self) -> Result<Transaction<Self>> {
        Postgres::begin(self, BEGIN).await
    }

    async fn rows<T: Fields>(
        &self,
        connection: &mut PgConnection,
        doing: &'static str,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<T>> {
        let query = bind!(sqlx::query_as(AssertSqlSafe(self.statement(sql))), values);
        query.fetch_all(connection).await.map_err(|error| typed(doing, error))
    }

    async fn execute(
        &self,
        connection: &mut PgConnection,
        doing: &'static str,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<u64> {
        let query = bind!(sqlx::query(AssertSqlSafe(self.statement(sql))), values);
        let done = query.execute(connection).await;
        done.map(|done| done.rows_affected()).map_err(|error| typed(doing, error))
    }

    async fn show(&self, connection: &mut PgConnection, view: &str, table: &str) -> Result<()> {
        let failed = |error| typed("show a read model", error);
        sqlx::raw_sql(IMPATIENT).execute(&mut *connection).await.map_err(failed)?;
        let mut savepoint = connection.begin().await.map_err(failed)?;
        // It keeps the rights that were granted, and the views on it.
        let replace = format!("create or replace view {view} as select * from {table}");
        match sqlx::raw_sql(AssertSqlSafe(replace)).execute(&mut *savepoint).await {
            Ok(_) => return savepoint.commit().await.map_err(failed),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(OTHER_COLUMNS) => {
                savepoint.rollback().await.map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let anew = format!("drop view {view}; create view {view} as select * from {table}");
        sqlx::raw_sql(AssertSqlSafe(anew)).execute(connection).await.map(drop).map_err(failed)
    }
}
