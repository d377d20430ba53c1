//! The database: one for all services here, where real ones would each have their own.

use anybroker::patterns::database::{Names, Sqlite};
use anybroker::patterns::event_store::{self, CommandError, Connection, Transaction};
use anybroker::patterns::{inbox, outbox, projection, saga};
use anybroker::{Error, Fate, Kind, Result, async_trait};
use sqlx::AssertSqlSafe;

/// What the example needs of a database: all the patterns, in one connection, and a few statements of its own.
#[async_trait]
pub(crate) trait Database:
    event_store::Store
    + saga::Store<Database = <Self as event_store::Store>::Database>
    + outbox::Store<Connection = Connection<Self>>
    + inbox::Store<Connection = Connection<Self>>
    + projection::Store
{
    /// Begins a transaction that writes.
    async fn writing(&self) -> Result<Transaction<Self>> {
        event_store::Store::begin(self).await
    }

    /// Makes the tables that are not there.
    async fn prepare(&self) -> Result<()>;

    /// Deletes all tables: a new run forgets everything of the one before it.
    async fn clear(&self) -> Result<()>;

    /// Runs a statement. It is the same for every database: `$1` is a value, `{told}` a table.
    async fn change(&self, connection: &mut Connection<Self>, sql: &str, values: &[Value]) -> Result<u64>;

    /// A query's numbers, column after column and row after row.
    async fn numbers(&self, sql: &str) -> Result<Vec<i64>>;

    /// A query's texts.
    async fn texts(&self, sql: &str) -> Result<Vec<String>>;
}

/// A statement's value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Number(i64),
    Text(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Number(number.into())
    }
}

/// The example's own tables.
const TABLES: [&str; 3] = [
    "create table if not exists {run} (state text not null)",
    "create table if not exists {told} (number bigint primary key, version bigint not null, state text not null,
        violations bigint not null)",
    "create table if not exists {batches} (delivered bigint not null, redelivered bigint not null,
        failed bigint not null, suppressed bigint not null)",
];

/// The patterns' tables are read too.
fn fill(names: &Names, sql: &str) -> AssertSqlSafe<String> {
    let view = match names.schema() {
        Some(schema) => format!("{schema}.order_states"),
        None => "order_states".to_owned(),
    };
    let sql = sql.replace("{order_states}", &view);
    let tables = ["run", "told", "batches", "events", "sagas", "saga_signals"];
    let fill = |sql: String, table: &str| sql.replace(&format!("{{{table}}}"), &names.table(table));
    AssertSqlSafe(tables.into_iter().fold(sql, fill))
}

/// What every database does in the same words.
macro_rules! database {
    ($database:ty, $connection:ty, $clear:expr) => {
        #[async_trait]
        impl Database for $database {
            async fn prepare(&self) -> Result<()> {
                self.migrate().await?;
                let mut transaction = self.writing().await?;
                for table in TABLES {
                    self.change(&mut transaction, table, &[]).await?;
                }
                commit::<Self>(transaction).await
            }

            async fn clear(&self) -> Result<()> {
                $clear(self).await
            }

            async fn change(&self, connection: &mut $connection, sql: &str, values: &[Value]) -> Result<u64> {
                let query = sqlx::query(fill(self.names(), sql));
                let query = values.iter().cloned().fold(query, |query, value| match value {
                    Value::Number(number) => query.bind(number),
                    Value::Text(text) => query.bind(text),
                });
                Ok(query.execute(connection).await.map_err(failed)?.rows_affected())
            }

            async fn numbers(&self, sql: &str) -> Result<Vec<i64>> {
                let rows =
                    sqlx::query(fill(self.names(), sql)).fetch_all(self.pool()).await.map_err(failed)?;
                let columns = rows.iter().flat_map(|row| (0..sqlx::Row::len(row)).map(move |at| (row, at)));
                columns.map(|(row, at)| sqlx::Row::try_get(row, at).map_err(failed)).collect()
            }

            async fn texts(&self, sql: &str) -> Result<Vec<String>> {
                let query = sqlx::query_scalar(fill(self.names(), sql));
                query.fetch_all(self.pool()).await.map_err(failed)
            }
        }
    };
}

database!(Sqlite, sqlx::SqliteConnection, clear_sqlite);
#[cfg(feature = "postgres")]
database!(anybroker::patterns::database::Postgres, sqlx::PgConnection, clear_postgres);

async fn clear_sqlite(database: &Sqlite) -> Result<()> {
    let mut transaction = database.writing().await?;
    let sql = "select 'drop ' || type || ' ' || name from sqlite_master
        where type in ('table', 'view') and name not like 'sqlite_%' order by type desc";
    for drop in database.texts(sql).await? {
        database.change(&mut transaction, &drop, &[]).await?;
    }
    commit::<Sqlite>(transaction).await
}

/// Where the example's tables are in PostgreSQL.
#[cfg(feature = "postgres")]
pub(crate) const SCHEMA: &str = "orders_example";

#[cfg(feature = "postgres")]
async fn clear_postgres(database: &anybroker::patterns::database::Postgres) -> Result<()> {
    let mut transaction = database.writing().await?;
    database.change(&mut transaction, &format!("drop schema {SCHEMA} cascade"), &[]).await?;
    commit::<anybroker::patterns::database::Postgres>(transaction).await
}

pub(crate) async fn commit<D: Database>(transaction: Transaction<D>) -> Result<()> {
    transaction.commit().await.map_err(|error| failed(error).with_fate(Fate::Unknown))
}

/// What a database says of a statement. Its connection may be gone, or another transaction in the way: another attempt
/// helps; what else goes wrong goes wrong again.
fn failed(error: sqlx::Error) -> Error {
    let kind = match &error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => Kind::Disconnected,
        sqlx::Error::Database(error) => match error.code().as_deref().unwrap_or_default() {
            "5" | "6" | "40001" | "40P01" => Kind::Throttled,
            "57P01" | "57P02" | "57P03" => Kind::Disconnected,
            _ => Kind::Unexpected,
        },
        _ => Kind::Unexpected,
    };
    Error::new(kind, "orders", "the database failed").with_source(error)
}

/// Why a command had no effect.
pub(crate) fn command_error<E: std::fmt::Debug>(error: CommandError<E>) -> Error {
    match error {
        CommandError::Rejected(why) => Error::new(Kind::Unexpected, "orders", format!("refused: {why:?}")),
        CommandError::Append(error) => error.into(),
        CommandError::Failed(error) => error,
        other => Error::new(Kind::Unexpected, "orders", format!("{other:?}")),
    }
}
