//! SQLite: one file, for the processes of one machine.

use std::path::Path;
use std::time::Duration;

use anybroker_core::Result;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection};

use super::{COMPONENTS, Component, Names, typed};

/// How long a statement waits for another process that is writing.
const BUSY: Duration = Duration::from_secs(10);

/// A SQLite database and the names of the tables in it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sqlite {
    pub(crate) pool: SqlitePool,
    pub(crate) names: Names,
}

impl Sqlite {
    /// Uses a pool that the application has already. Its connections need a busy time-out and write-ahead logging.
    pub fn new(pool: SqlitePool) -> Self {
        Sqlite { pool, names: Names::default() }
    }

    /// Opens a file, creates it if there is none: write-ahead logging, every commit on disk.
    ///
    /// # Errors
    /// `InvalidConfiguration`, `PermissionDenied`, `Disconnected`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(8).connect_with(options).await;
        Ok(Self::new(pool.map_err(|error| typed("connect", error))?))
    }

    /// Its tables have these names.
    pub fn with_names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// What its tables are called.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The pool, for the application's own statements.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Creates the tables that are missing, in one transaction; several programs may do so at once.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`, `InvalidConfiguration` if the tables are newer than this program.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing, or everything.
    pub async fn migrate(&self) -> Result<()> {
        let failed = |error| typed("migrate", error);
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
        let migrations = self.names.table("migrations");
        let head = format!(
            "create table if not exists {migrations} (component text not null, version integer not null, \
             applied_at text not null default current_timestamp, primary key (component, version))"
        );
        sqlx::raw_sql(AssertSqlSafe(head)).execute(&mut *transaction).await.map_err(failed)?;
        for component in COMPONENTS {
            let applied = self.applied(&mut transaction, component).await?;
            for (at, sql) in component.sqlite.iter().enumerate().skip(applied) {
                let sql = component.fill(&self.names, sql);
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.map_err(failed)?;
                let record = format!("insert into {migrations} (component, version) values (?, ?)");
                let record = sqlx::query(AssertSqlSafe(record)).bind(component.name).bind(at as i32 + 1);
                record.execute(&mut *transaction).await.map_err(failed)?;
            }
        }
        transaction.commit().await.map_err(|error| typed("commit", error))
    }

    /// Looks whether a pattern's tables are there, in this program's version, unchanged.
    pub(crate) async fn check(&self, component: &Component) -> Result<()> {
        let mut connection = self.pool.acquire().await.map_err(|error| typed("connect", error))?;
        let applied = self.applied(&mut connection, component).await?;
        component.compare(applied, component.sqlite.len())?;
        for table in component.tables.iter().chain(component.sqlite_tables) {
            let columns = self.columns(&mut connection, table.name).await?;
            component.columns(&self.names, table, &columns)?;
        }
        Ok(())
    }

    async fn columns(&self, connection: &mut SqliteConnection, table: &str) -> Result<Vec<String>> {
        let schema = self.names.schema().unwrap_or("main");
        let columns = sqlx::query_scalar("select name from pragma_table_info(?, ?)");
        let columns = columns.bind(self.names.bare(table)).bind(schema).fetch_all(connection).await;
        columns.map_err(|error| typed("check tables", error))
    }

    /// How many of a pattern's migrations were applied.
    async fn applied(&self, connection: &mut SqliteConnection, component: &Component) -> Result<usize> {
        if self.columns(connection, "migrations").await?.is_empty() {
            return Ok(0);
        }
        let migrations = self.names.table("migrations");
        let newest = format!("select coalesce(max(version), 0) from {migrations} where component = ?");
        let newest = sqlx::query_scalar(AssertSqlSafe(newest)).bind(component.name);
        let newest: i32 = newest.fetch_one(connection).await.map_err(|error| typed("check tables", error))?;
        Ok(newest as usize)
    }
}
