//! A database of the test's own, a broker of its own, and what the tests do with them.

pub(crate) mod crash;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{
    Broker, Consumer, ConsumerExt, Group, Message, Requirements, Start, Subscription, Topic, Topology,
};
use anybroker_patterns::database::{Names, Postgres, Sqlite};
use anybroker_patterns::outbox::relay::Progress;
use anybroker_patterns::outbox::{Outbox, Relay, RelayOptions, Store};
use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Longer than anything takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What the tests need of a database beside the outbox.
#[async_trait::async_trait]
pub(crate) trait Database: Store + Clone + std::fmt::Debug {
    type Transaction: Send;
    /// How often a relay is killed: on SQLite each time costs a lease.
    const KILLS: usize;
    /// A relay that dies has a lease.
    const LEASED: bool;

    async fn transaction(&self) -> Self::Transaction;
    fn connection(transaction: &mut Self::Transaction) -> &mut Self::Connection;
    async fn commit(transaction: Self::Transaction);
    async fn rollback(transaction: Self::Transaction);
    /// Runs statements; `{outbox}` is the table, `{quarantine}` the other one.
    async fn run(&self, sql: &str) -> u64;
    async fn count(&self, sql: &str) -> i64;
}

macro_rules! database {
    ($type:ident, $database:ty, $begin:expr, $kills:expr, $leased:expr) => {
        #[async_trait::async_trait]
        impl Database for $type {
            type Transaction = sqlx::Transaction<'static, $database>;
            const KILLS: usize = $kills;
            const LEASED: bool = $leased;

            async fn transaction(&self) -> Self::Transaction {
                self.pool().begin_with($begin).await.unwrap()
            }

            fn connection(transaction: &mut Self::Transaction) -> &mut Self::Connection {
                transaction
            }

            async fn commit(transaction: Self::Transaction) {
                transaction.commit().await.unwrap();
            }

            async fn rollback(transaction: Self::Transaction) {
                transaction.rollback().await.unwrap();
            }

            async fn run(&self, sql: &str) -> u64 {
                let sql = fill(sql, self.names());
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.pool()).await.unwrap().rows_affected()
            }

            async fn count(&self, sql: &str) -> i64 {
                let sql = fill(sql, self.names());
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(self.pool()).await.unwrap()
            }
        }
    };
}

database!(Postgres, sqlx::Postgres, "begin", 20, false);
database!(Sqlite, sqlx::Sqlite, "begin immediate", 3, true);

fn fill(sql: &str, names: &Names) -> String {
    [
        ("{outbox}", "outbox"),
        ("{inbox}", "inbox"),
        ("{quarantine}", "outbox_quarantine"),
        ("{relay}", "outbox_relay"),
        ("{migrations}", "migrations"),
    ]
    .iter()
    .fold(sql.to_owned(), |sql, (place, table)| sql.replace(place, &names.table(table)))
}

pub(crate) fn postgres_url() -> String {
    let default = || "postgres://postgres:postgres@127.0.0.1:5432/postgres".to_owned();
    std::env::var("ANYBROKER_POSTGRES_URL").unwrap_or_else(|_| default())
}

/// A schema of its own, removed in the end. `ANYBROKER_TEST_EXCLUDE=postgres` leaves it out.
pub(crate) async fn postgres<F: Future<Output = ()>>(test: impl FnOnce(Postgres) -> F) {
    let excluded = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    if excluded.split(',').any(|name| name == "postgres") {
        eprintln!("not run: excluded by ANYBROKER_TEST_EXCLUDE");
        return;
    }
    let schema = format!("t_{}", &Uuid::now_v7().simple().to_string()[12..]);
    let names = Names::default().in_schema(&schema).unwrap();
    let database = Postgres::connect(&postgres_url()).await.unwrap().with_names(names);
    database.migrate().await.unwrap();
    test(database.clone()).await;
    database.run(&format!("drop schema {schema} cascade")).await;
}

/// A file of its own.
pub(crate) async fn sqlite<F: Future<Output = ()>>(test: impl FnOnce(Sqlite) -> F) {
    let folder = TempDir::new().unwrap();
    let database = Sqlite::open(folder.path().join("test.db")).await.unwrap();
    database.migrate().await.unwrap();
    test(database.clone()).await;
    database.pool().close().await;
}

/// Runs a test on both.
macro_rules! on_both {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        mod on_postgres {
            $($(#[$meta])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { crate::support::postgres(super::$name).await })*
        }
        mod on_sqlite {
            $($(#[$meta])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { crate::support::sqlite(super::$name).await })*
        }
    };
}
pub(crate) use on_both;

pub(crate) fn topic() -> Topic {
    Topic::new("orders").unwrap()
}

pub(crate) fn outbox<D: Database>(database: &D) -> Outbox<D> {
    Outbox::new(database.clone(), topic())
}

pub(crate) async fn broker(parameters: &str) -> Broker {
    let url = format!("memory://{}{parameters}", Uuid::now_v7());
    let broker = anybroker_memory::connect(&url.parse().unwrap()).await.unwrap();
    broker.admin().declare(&Topology::new(topic()).group(Group::new("g").unwrap())).await.unwrap();
    broker
}

/// A relay in a task.
pub(crate) struct Running {
    pub(crate) progress: Arc<Progress>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<anybroker_core::Result<()>>,
}

pub(crate) async fn relay<D: Database>(database: &D, broker: &Broker) -> Running {
    relay_with(database, broker, RelayOptions::default()).await
}

pub(crate) async fn relay_with<D: Database>(database: &D, broker: &Broker, options: RelayOptions) -> Running {
    let relay = Relay::open(database.clone(), broker.clone(), options).await.unwrap();
    let progress = relay.progress();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(relay.run(async move { _ = stopped.await }));
    Running { progress, stop: Some(stop), task }
}

impl Running {
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.task.await.unwrap().unwrap();
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        _ = self.task.await;
    }
}

/// What arrives at the broker.
pub(crate) struct Arrivals(Box<dyn Consumer>);

impl Arrivals {
    pub(crate) async fn of(broker: &Broker) -> Self {
        let subscription = Subscription::new(topic(), Group::new("g").unwrap())
            .start(Start::Earliest)
            .require(Requirements::new());
        Arrivals(broker.consumer(subscription).await.unwrap())
    }

    /// The next message's key and payload.
    pub(crate) async fn next(&mut self) -> (String, String) {
        let delivery = tokio::time::timeout(LONG, self.0.next()).await.expect("nothing arrives").unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let arrived = (delivery.key().map(text).unwrap_or_default(), text(delivery.payload()));
        delivery.ack().await.unwrap();
        arrived
    }

    pub(crate) async fn payloads(&mut self, count: usize) -> Vec<String> {
        let mut payloads = Vec::new();
        while payloads.len() < count {
            payloads.push(self.next().await.1);
        }
        payloads
    }

    /// Reads until every key has had its last number, and looks whether each key's numbers came in order; a number may
    /// come again, then with those that follow it. Says how many came again.
    pub(crate) async fn in_order(&mut self, keys: usize, each: usize) -> usize {
        let mut last: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut again = 0;
        let complete = |seen: &Vec<usize>| (0..each).all(|number| seen.contains(&number));
        while last.len() < keys || !last.values().all(complete) {
            let (key, payload) = self.next().await;
            let number: usize = payload.parse().unwrap();
            let seen = last.entry(key.clone()).or_default();
            if seen.contains(&number) {
                again += 1;
            } else {
                assert_eq!(number, seen.len(), "{key}: {seen:?} and then {number}");
                seen.push(number);
            }
        }
        again
    }
}

pub(crate) fn numbered(key: &str, number: usize) -> Message {
    Message::new(number.to_string()).with_key(key)
}

/// Waits until something holds.
pub(crate) async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + LONG;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "it never holds");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
