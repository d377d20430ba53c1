//! Sagas on PostgreSQL.

use std::time::Duration;

use anybroker_core::{Error, Kind, Result};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use sqlx::postgres::{PgArguments, PgConnection, PgListener, PgRow, Postgres as Database};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Column, Row as _, TypeInfo};

use super::component::SAGA;
use super::store::{Row, Store, Transaction, Value};
use crate::database::{Postgres, typed};

const NOW: &str = "(extract(epoch from clock_timestamp()) * 1000)::bigint";

impl Postgres {
    fn saga(&self, sql: &str) -> AssertSqlSafe<String> {
        let sql = sql
            .replace("{now}", NOW)
            .replace("{lock}", "for update")
            .replace("{skip}", "for update skip locked");
        AssertSqlSafe(SAGA.fill(&self.names, &sql))
    }

    fn saga_channel(&self) -> String {
        self.names.table("sagas").replace('.', "_")
    }
}

#[async_trait]
impl Store for Postgres {
    type Database = Database;

    fn pool(&self) -> &sqlx::PgPool {
        &self.pool
    }

    async fn check(&self) -> Result<()> {
        Postgres::check(self, &SAGA).await
    }

    async fn begin(&self) -> Result<Transaction<Self>> {
        Postgres::begin(self, "begin isolation level read committed").await
    }

    async fn execute(&self, connection: &mut PgConnection, sql: &str, values: Vec<Value>) -> Result<u64> {
        let done = bind(sqlx::query(self.saga(sql)), values).execute(connection).await;
        done.map(|done| done.rows_affected()).map_err(|error| typed("write a saga", error))
    }

    async fn fetch(&self, connection: &mut PgConnection, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        let rows = bind(sqlx::query(self.saga(sql)), values).fetch_all(connection).await;
        rows.map_err(|error| typed("read a saga", error))?.iter().map(row).collect()
    }

    async fn wake(&self, connection: &mut PgConnection) -> Result<()> {
        let told =
            sqlx::query("select pg_notify($1, '')").bind(self.saga_channel()).execute(connection).await;
        told.map(drop).map_err(|error| typed("wake", error))
    }

    async fn wakes(&self) -> Result<BoxStream<'static, ()>> {
        let failed = |error| typed("listen", error);
        let mut listener = PgListener::connect_with(&self.pool).await.map_err(failed)?;
        listener.listen(&self.saga_channel()).await.map_err(failed)?;
        Ok(listener.into_stream().filter_map(|told| async move { told.ok().map(drop) }).boxed())
    }

    fn poll(&self) -> Duration {
        Duration::from_millis(250)
    }
}

type Statement<'q> = Query<'q, Database, PgArguments>;

fn bind(statement: Statement<'_>, values: Vec<Value>) -> Statement<'_> {
    values.into_iter().fold(statement, |statement, value| match value {
        Value::Number(number) => statement.bind(number),
        Value::Text(text) => statement.bind(text),
        Value::Bytes(bytes) => statement.bind(bytes),
    })
}

fn row(from: &PgRow) -> Result<Row> {
    let value = |column: &sqlx::postgres::PgColumn| {
        let (at, failed) = (column.ordinal(), |error| typed("read a saga", error));
        match column.type_info().name() {
            "INT8" => from.try_get(at).map(Value::Number).map_err(failed),
            "TEXT" => from.try_get(at).map(Value::Text).map_err(failed),
            "BYTEA" => from.try_get(at).map(Value::Bytes).map_err(failed),
            other => {
                let text = format!("column {} is of type {other}", column.name());
                Err(Error::new(Kind::Decode, "read a saga", text).advice("the table was changed by hand"))
            }
        }
    };
    from.columns().iter().map(value).collect::<Result<_>>().map(Row::new)
}
