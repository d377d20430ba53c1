//! Projections in SQLite, where one transaction writes at a time.

use anybroker_core::{Result, async_trait};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::component::{COMPONENT, fill};
use super::store::{Fields, Store, Value, bind};
use crate::database::{Names, Sqlite, typed};
use crate::event_store::{self, Transaction};

impl Sqlite {
    fn statement(&self, sql: &str) -> String {
        fill(&self.names, &sql.replace("{for update}", "").replace("{each $3}", "json_each($3)"))
    }
}

#[async_trait]
impl Store for Sqlite {
    fn names(&self) -> &Names {
        &self.names
    }

    async fn check_projections(&self) -> Result<()> {
        self.check(&COMPONENT).await
    }

    async fn begin_applying(&self) -> Result<Transaction<Self>> {
        event_store::Store::begin(self).await
    }

    async fn rows<T: Fields>(
        &self,
        connection: &mut SqliteConnection,
        doing: &'static str,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<T>> {
        let query = bind!(sqlx::query_as(AssertSqlSafe(self.statement(sql))), values);
        query.fetch_all(connection).await.map_err(|error| typed(doing, error))
    }

    async fn execute(
        &self,
        connection: &mut SqliteConnection,
        doing: &'static str,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<u64> {
        let query = bind!(sqlx::query(AssertSqlSafe(self.statement(sql))), values);
        let done = query.execute(connection).await;
        done.map(|done| done.rows_affected()).map_err(|error| typed(doing, error))
    }

    async fn show(&self, connection: &mut SqliteConnection, view: &str, table: &str) -> Result<()> {
        // A view's text names tables of its own schema only, without it.
        let bare = table.rsplit('.').next().unwrap_or(table);
        let sql = format!("drop view if exists {view}; create view {view} as select * from {bare}");
        let shown = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
        shown.map(drop).map_err(|error| typed("show a read model", error))
    }
}
