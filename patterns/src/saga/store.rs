//! What sagas need of a database.

use std::fmt::Debug;
use std::time::Duration;

use anybroker_core::{Error, Kind, Result, async_trait};
use futures::stream::BoxStream;

/// The connection of a database; a transaction dereferences to it: `&mut *transaction`.
pub type Connection<D> = <<D as Store>::Database as sqlx::Database>::Connection;

/// A transaction of a database.
pub type Transaction<D> = sqlx::Transaction<'static, <D as Store>::Database>;

/// A database with the sagas' tables: [`Postgres`](crate::database::Postgres) or [`Sqlite`](crate::database::Sqlite).
///
/// # For implementors
/// The statements are the same for every database. A store fills in the names of the tables (`{sagas}`), its clock in
/// milliseconds since 1970 (`{now}`) and how it locks rows (`{lock}`, `{skip}`; nothing where one writes at a time). A
/// transaction that [`begin`](Store::begin) gives sees what was committed before each of its statements.
#[async_trait]
pub trait Store: Debug + Clone + Send + Sync + 'static {
    /// sqlx's name of it.
    type Database: sqlx::Database;

    /// The pool that connections are taken from.
    fn pool(&self) -> &sqlx::Pool<Self::Database>;

    /// Looks whether the tables are there, unchanged, in this program's version.
    ///
    /// # Errors
    /// `InvalidConfiguration`, `Disconnected`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn check(&self) -> Result<()>;

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`, `Throttled`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn begin(&self) -> Result<Transaction<Self>>;

    /// Runs a statement; gives how many rows it changed.
    ///
    /// # Errors
    /// `Disconnected`, `Throttled`, `NotFound`.
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    async fn execute(&self, connection: &mut Connection<Self>, sql: &str, values: Vec<Value>) -> Result<u64>;

    /// Runs a query.
    ///
    /// # Errors
    /// As [`execute`](Store::execute), and `Decode`.
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    async fn fetch(
        &self,
        connection: &mut Connection<Self>,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>>;

    /// Wakes the runners when the transaction commits, if the database can.
    ///
    /// # Errors
    /// As [`execute`](Store::execute).
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    async fn wake(&self, connection: &mut Connection<Self>) -> Result<()>;

    /// Comes when somebody woke the runners. It may end or miss some.
    ///
    /// # Errors
    /// `Disconnected`; `Unsupported` if the database tells nobody.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn wakes(&self) -> Result<BoxStream<'static, ()>>;

    /// How often a runner looks by itself.
    fn poll(&self) -> Duration;
}

/// What goes into a statement, or comes out of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(Option<i64>),
    /// A text.
    Text(Option<String>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Number(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Value::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(Some(text.into()))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Value::Text(text.map(Into::into))
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Value::Bytes(Some(bytes.into()))
    }
}

/// A row of a query, to be read column by column.
#[derive(Debug)]
pub struct Row(std::vec::IntoIter<Value>);

impl Row {
    /// A row of these columns.
    pub fn new(columns: Vec<Value>) -> Self {
        Row(columns.into_iter())
    }

    /// The columns that are texts, in their order.
    pub fn texts(self) -> Vec<Option<String>> {
        let text = |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        };
        self.0.filter_map(text).collect()
    }

    pub(crate) fn maybe_number(&mut self) -> Result<Option<i64>> {
        match self.0.next() {
            Some(Value::Number(number)) => Ok(number),
            Some(Value::Text(None)) => Ok(None),
            _ => Err(changed()),
        }
    }

    pub(crate) fn number(&mut self) -> Result<i64> {
        self.maybe_number()?.ok_or_else(changed)
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<String>> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(changed()),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        self.maybe_text()?.ok_or_else(changed)
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>> {
        match self.0.next() {
            Some(Value::Bytes(Some(bytes))) => Ok(bytes),
            _ => Err(changed()),
        }
    }
}

fn changed() -> Error {
    Error::new(Kind::Decode, "read a saga", "a column has not the type that it should have")
        .advice("the table was changed by hand, or by another version")
}
