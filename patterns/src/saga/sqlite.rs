//! Sagas on SQLite.

use std::time::Duration;

use anybroker_core::{Error, Kind, Result};
use async_trait::async_trait;
use futures::stream::BoxStream;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite as Database, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, TypeInfo, ValueRef};

use super::component::SAGA;
use super::store::{Row, Store, Transaction, Value};
use crate::database::{Sqlite, typed};

const NOW: &str = "cast(unixepoch('subsec') * 1000 as integer)";

impl Sqlite {
    /// One writes at a time, so that no row needs a lock.
    fn saga(&self, sql: &str) -> AssertSqlSafe<String> {
        let sql = sql.replace("{now}", NOW).replace("{lock}", "").replace("{skip}", "");
        AssertSqlSafe(SAGA.fill(&self.names, &sql))
    }
}

#[async_trait]
impl Store for Sqlite {
    type Database = Database;

    fn pool(&self) -> &sqlx::SqlitePool {
        &self.pool
    }

    async fn check(&self) -> Result<()> {
        Sqlite::check(self, &SAGA).await
    }

    async fn begin(&self) -> Result<Transaction<Self>> {
        self.pool.begin_with("begin immediate").await.map_err(|error| typed("begin", error))
    }

    async fn execute(&self, connection: &mut SqliteConnection, sql: &str, values: Vec<Value>) -> Result<u64> {
        let done = bind(sqlx::query(self.saga(sql)), values).execute(connection).await;
        done.map(|done| done.rows_affected()).map_err(|error| typed("write a saga", error))
    }

    async fn fetch(
        &self,
        connection: &mut SqliteConnection,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>> {
        let rows = bind(sqlx::query(self.saga(sql)), values).fetch_all(connection).await;
        rows.and_then(|rows| rows.iter().map(row).collect()).map_err(|error| typed("read a saga", error))
    }

    async fn wake(&self, _connection: &mut SqliteConnection) -> Result<()> {
        Ok(())
    }

    async fn wakes(&self) -> Result<BoxStream<'static, ()>> {
        Err(Error::new(Kind::Unsupported, "listen", "SQLite tells nobody of a commit"))
    }

    fn poll(&self) -> Duration {
        Duration::from_millis(20)
    }
}

type Statement<'q> = Query<'q, Database, SqliteArguments>;

fn bind(statement: Statement<'_>, values: Vec<Value>) -> Statement<'_> {
    values.into_iter().fold(statement, |statement, value| match value {
        Value::Number(number) => statement.bind(number),
        Value::Text(text) => statement.bind(text),
        Value::Bytes(bytes) => statement.bind(bytes),
    })
}

/// By what is in each column, since SQLite's columns have no types that hold.
fn row(from: &SqliteRow) -> sqlx::Result<Row> {
    let value = |at: usize| {
        let raw = from.try_get_raw(at)?;
        if raw.is_null() {
            return Ok(Value::Text(None));
        }
        let held = raw.type_info().name().to_owned();
        Ok(match held.as_str() {
            "TEXT" => Value::Text(from.try_get(at)?),
            "BLOB" => Value::Bytes(from.try_get(at)?),
            _ => Value::Number(from.try_get(at)?),
        })
    };
    (0..from.len()).map(value).collect::<sqlx::Result<_>>().map(Row::new)
}
