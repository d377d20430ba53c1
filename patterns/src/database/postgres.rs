//! PostgreSQL, 13 or later.

use anybroker_core::{Error, Kind, Result};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};

use super::{COMPONENTS, Component, Names, typed};

/// One program at a time creates tables: a lock that nobody else takes.
const MIGRATING: i64 = 0x616e_7962_726f_6b72;

/// A PostgreSQL database and the names of the tables in it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Postgres {
    pub(crate) pool: PgPool,
    pub(crate) names: Names,
}

impl Postgres {
    /// Uses a pool that the application has already.
    pub fn new(pool: PgPool) -> Self {
        Postgres { pool, names: Names::default() }
    }

    /// Connects to `postgres://user:password@host/database`, with up to 16 connections.
    ///
    /// # Errors
    /// `InvalidConfiguration`, `PermissionDenied`, `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn connect(url: &str) -> Result<Self> {
        let options: PgConnectOptions = url.parse().map_err(|error| typed("connect", error))?;
        let pool = PgPoolOptions::new().max_connections(16).connect_with(options).await;
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
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Creates the tables that are missing, in one transaction; several programs may do so at once.
    ///
    /// # Errors
    /// `PermissionDenied`, `Disconnected`, `InvalidConfiguration` if the tables are newer than this program.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing, or everything.
    pub async fn migrate(&self) -> Result<()> {
        let failed = |error| typed("migrate", error);
        let mut transaction = self.begin("begin").await?;
        let locked = sqlx::query("select pg_advisory_xact_lock($1)").bind(MIGRATING);
        locked.execute(&mut *transaction).await.map_err(failed)?;
        let mut head = String::new();
        if let Some(schema) = self.names.schema() {
            head = format!("create schema if not exists {schema};");
        }
        let migrations = self.names.table("migrations");
        head += &format!(
            "create table if not exists {migrations} (component text not null, version integer not null, \
             applied_at timestamptz not null default now(), primary key (component, version))"
        );
        sqlx::raw_sql(AssertSqlSafe(head)).execute(&mut *transaction).await.map_err(failed)?;
        for component in COMPONENTS {
            let applied = self.applied(&mut transaction, component).await?;
            for (at, sql) in component.postgres.iter().enumerate().skip(applied) {
                let sql = component.fill(&self.names, sql);
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.map_err(failed)?;
                let record = format!("insert into {migrations} (component, version) values ($1, $2)");
                let record = sqlx::query(AssertSqlSafe(record)).bind(component.name).bind(at as i32 + 1);
                record.execute(&mut *transaction).await.map_err(failed)?;
            }
        }
        transaction.commit().await.map_err(|error| typed("commit", error))
    }

    /// Begins a transaction, in a task of its own: sqlx 0.9 gives a connection back to the pool with the transaction open if
    /// it is dropped while it begins one (its issue 4393), and what the next one writes there is never committed. The task
    /// ends by itself, and what it began is rolled back if nobody waits for it any more.
    pub(crate) async fn begin(
        &self,
        statement: impl sqlx::SqlSafeStr + Send + 'static,
    ) -> Result<sqlx::Transaction<'static, sqlx::Postgres>> {
        let pool = self.pool.clone();
        match tokio::spawn(async move { pool.begin_with(statement).await }).await {
            Ok(begun) => begun.map_err(|error| typed("begin", error)),
            Err(_) => Err(Error::new(Kind::Closed, "begin", "the runtime is shutting down")),
        }
    }

    /// Looks whether a pattern's tables are there, in this program's version, unchanged.
    pub(crate) async fn check(&self, component: &Component) -> Result<()> {
        let mut connection = self.pool.acquire().await.map_err(|error| typed("connect", error))?;
        let applied = self.applied(&mut connection, component).await?;
        component.compare(applied, component.postgres.len())?;
        for table in component.tables {
            let columns = sqlx::query_scalar(
                "select attname::text from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
            );
            let columns = columns.bind(self.names.table(table.name)).fetch_all(&mut *connection).await;
            component.columns(&self.names, table, &columns.map_err(|error| typed("check tables", error))?)?;
        }
        Ok(())
    }

    /// How many of a pattern's migrations were applied.
    async fn applied(&self, connection: &mut PgConnection, component: &Component) -> Result<usize> {
        let failed = |error| typed("check tables", error);
        let migrations = self.names.table("migrations");
        let there = sqlx::query_scalar("select to_regclass($1) is not null").bind(&migrations);
        if !there.fetch_one(&mut *connection).await.map_err(failed)? {
            return Ok(0);
        }
        let newest = format!("select coalesce(max(version), 0) from {migrations} where component = $1");
        let newest = sqlx::query_scalar(AssertSqlSafe(newest)).bind(component.name);
        let newest: i32 = newest.fetch_one(connection).await.map_err(failed)?;
        Ok(newest as usize)
    }
}
