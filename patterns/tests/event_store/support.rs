//! A fresh event store for each test, and what tests say often.

use std::future::Future;
use std::time::Duration;

use anybroker_patterns::database::{Postgres, Sqlite};
use anybroker_patterns::event_store::{
    Appended, EventStore, Expected, NewEvent, Recorded, Store, Subscription,
};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

/// Runs a test on both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { $crate::support::postgres(super::$name).await })*
        }
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { $crate::support::sqlite(super::$name).await })*
        }
    };
}
pub(crate) use on_both;

/// Statements by hand; the tables have the usual names on both databases.
pub(crate) trait Raw: Store {
    fn raw(&self, sql: &str) -> impl Future<Output = sqlx::Result<()>> + Send;
}

impl Raw for Postgres {
    async fn raw(&self, sql: &str) -> sqlx::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.pool()).await.map(drop)
    }
}

impl Raw for Sqlite {
    async fn raw(&self, sql: &str) -> sqlx::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.pool()).await.map(drop)
    }
}

fn url() -> String {
    std::env::var("ANYBROKER_POSTGRES_URL")
        .unwrap_or_else(|_| "postgres://postgres:postgres@127.0.0.1:5432/postgres".into())
}

/// A schema of its own, empty.
pub(crate) async fn schema<F: Future<Output = ()>>(test: impl FnOnce(Postgres) -> F) {
    let name = format!("es_{}", uuid::Uuid::now_v7().simple());
    let options: PgConnectOptions = url().parse().unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(24)
        .connect_with(options.options([("search_path", &name)]))
        .await
        .expect("PostgreSQL is not there: set ANYBROKER_POSTGRES_URL");
    let database = Postgres::new(pool);
    database.raw(&format!("create schema {name}")).await.unwrap();
    test(database.clone()).await;
    database.raw(&format!("drop schema {name} cascade")).await.unwrap();
    database.pool().close().await;
}

pub(crate) async fn postgres<F: Future<Output = ()>>(test: impl FnOnce(EventStore<Postgres>) -> F) {
    schema(|database| async {
        database.migrate().await.unwrap();
        test(EventStore::open(database).await.unwrap()).await;
    })
    .await;
}

pub(crate) async fn sqlite<F: Future<Output = ()>>(test: impl FnOnce(EventStore<Sqlite>) -> F) {
    let directory = tempfile::tempdir().unwrap();
    let database = Sqlite::open(directory.path().join("events.db")).await.unwrap();
    database.migrate().await.unwrap();
    test(EventStore::open(database).await.unwrap()).await;
}

pub(crate) fn event(name: &str) -> NewEvent {
    NewEvent::new(name, 1, format!(r#"{{"name":"{name}"}}"#))
}

/// Appends in a transaction of its own.
pub(crate) async fn put<D: Store>(store: &EventStore<D>, stream: &str, names: &[&str]) -> Appended {
    let events: Vec<_> = names.iter().map(|name| event(name)).collect();
    put_all(store, stream, &events).await
}

pub(crate) async fn put_all<D: Store>(store: &EventStore<D>, stream: &str, events: &[NewEvent]) -> Appended {
    let mut transaction = store.begin().await.unwrap();
    let appended = store.append(&mut transaction, stream, Expected::Any, events).await.unwrap();
    transaction.commit().await.unwrap();
    appended
}

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What comes next, one event for each that is expected.
pub(crate) async fn follow<D: Store>(subscription: &mut Subscription<D>, count: usize) -> Vec<Recorded> {
    let mut all = Vec::new();
    while all.len() < count {
        let batch = tokio::time::timeout(SOON, subscription.next_batch()).await;
        all.extend(batch.unwrap_or_else(|_| panic!("only {} of {count} events came", all.len())).unwrap());
    }
    assert_eq!(all.len(), count, "{all:?}");
    all
}

pub(crate) fn names(events: &[Recorded]) -> Vec<&str> {
    events.iter().map(|event| event.event_type.as_str()).collect()
}
