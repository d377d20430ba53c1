//! What projections need of a database beside the event store.

use anybroker_core::{Result, async_trait};
use sqlx::FromRow;

use crate::database::Names;
use crate::event_store::{self, Connection, Transaction};

/// A database with the tables of the event store and of projections: [`Postgres`](crate::database::Postgres) or
/// [`Sqlite`](crate::database::Sqlite).
///
/// # For implementors
/// Statements are written once, for both: they have the variables `$1`, `$2`, …, and names in braces to be filled in.
#[async_trait]
pub trait Store: event_store::Store {
    /// What its tables are called.
    fn names(&self) -> &Names;

    /// Looks whether the tables are there, in this program's version.
    ///
    /// # Errors
    /// `InvalidConfiguration`, `Disconnected`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn check_projections(&self) -> Result<()>;

    /// Begins a transaction that the server ends if this process is silent in it for a minute.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`, `Throttled`.
    ///
    /// # Cancel safety
    /// Cancel safe: it is rolled back.
    async fn begin_applying(&self) -> Result<Transaction<Self>>;

    /// The rows of a statement.
    ///
    /// # Errors
    /// Of the database, while doing `doing`.
    ///
    /// # Cancel safety
    /// As the statement.
    async fn rows<T: Fields>(
        &self,
        connection: &mut Connection<Self>,
        doing: &'static str,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<T>>;

    /// Runs a statement; how many rows it changed.
    ///
    /// # Errors
    /// Of the database, while doing `doing`.
    ///
    /// # Cancel safety
    /// As the statement.
    async fn execute(
        &self,
        connection: &mut Connection<Self>,
        doing: &'static str,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<u64>;

    /// Lets a view show all of a table, in the caller's transaction, whatever it showed before.
    ///
    /// # Errors
    /// `Throttled` if readers are in the way for longer than they should wait: try again.
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    async fn show(&self, connection: &mut Connection<Self>, view: &str, table: &str) -> Result<()>;
}

/// A variable's value.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A number.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// A text, or null.
    Maybe(Option<&'a str>),
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Int(number.into())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(text)
    }
}

/// What a row of every database can be read as.
pub trait Fields: FromPostgres + FromSqlite + Send + Unpin {}
impl<T: FromPostgres + FromSqlite + Send + Unpin> Fields for T {}

/// Read from PostgreSQL's rows, if that is compiled in.
#[cfg(feature = "postgres")]
pub trait FromPostgres: for<'r> FromRow<'r, sqlx::postgres::PgRow> {}
#[cfg(feature = "postgres")]
impl<T: for<'r> FromRow<'r, sqlx::postgres::PgRow>> FromPostgres for T {}
/// Read from PostgreSQL's rows, if that is compiled in.
#[cfg(not(feature = "postgres"))]
pub trait FromPostgres {}
#[cfg(not(feature = "postgres"))]
impl<T> FromPostgres for T {}

/// Read from SQLite's rows, if that is compiled in.
#[cfg(feature = "sqlite")]
pub trait FromSqlite: for<'r> FromRow<'r, sqlx::sqlite::SqliteRow> {}
#[cfg(feature = "sqlite")]
impl<T: for<'r> FromRow<'r, sqlx::sqlite::SqliteRow>> FromSqlite for T {}
/// Read from SQLite's rows, if that is compiled in.
#[cfg(not(feature = "sqlite"))]
pub trait FromSqlite {}
#[cfg(not(feature = "sqlite"))]
impl<T> FromSqlite for T {}

/// Gives a query its variables.
macro_rules! bind {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match *value {
                Value::Int(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
                Value::Maybe(text) => query.bind(text),
            };
        }
        query
    }};
}
pub(super) use bind;
