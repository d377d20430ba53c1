//! Relays, the database and the broker are killed by SIGKILL at seeded moments: everything that was committed arrives, in
//! order, and nothing else. `ANYBROKER_CRASHES=300` kills more often; `ANYBROKER_SEED=7` repeats a run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and so do their helpers")]
#![allow(dead_code, reason = "not everything of the helpers is used")]

#[cfg(test)]
mod command;

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anybroker::patterns::database::{Postgres, Sqlite};
use anybroker::patterns::outbox::{Outbox, Store};
use anybroker::{ConsumerExt, Group, Message, Start, Subscription, Topic, Topology};
use anybroker_conformance::brokers::{Brokers, Options, PortChoice};
use command::spawn;

const KEYS: u64 = 20;
/// Longer than a broker and a database take to come back.
const LONG: Duration = Duration::from_secs(120);

/// Numbers that look random, and are the same for a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn topic() -> Topic {
    Topic::new("orders").unwrap()
}

fn group() -> Group {
    Group::new("billing").unwrap()
}

/// Says whether a server is left out by name.
fn excluded(name: &str) -> bool {
    let names = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    let excluded = names.split(',').any(|excluded| excluded == name);
    if excluded {
        eprintln!("not run: {name} is excluded by ANYBROKER_TEST_EXCLUDE");
    }
    excluded
}

/// Stages each key's next number until told to stop: the application. What it counted is in the same transaction.
macro_rules! application {
    ($database:expr, $begin:expr, $stop:expr) => {{
        let outbox = Outbox::new($database.clone(), topic());
        let mut dice = Dice(1);
        while !$stop.load(Ordering::Relaxed) {
            let key = dice.below(KEYS) as i64;
            let step = async {
                let mut transaction = $database.pool().begin_with($begin).await?;
                let next: i64 =
                    sqlx::query_scalar("update counts set next = next + 1 where key = $1 returning next - 1")
                        .bind(key)
                        .fetch_one(&mut *transaction)
                        .await?;
                outbox
                    .stage(&mut transaction, Message::new(next.to_string()).with_key(key.to_string()))
                    .await?;
                transaction.commit().await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            };
            if step.await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }};
}

macro_rules! counts {
    ($database:expr) => {{
        let pool = $database.pool();
        sqlx::query("create table counts (key bigint primary key, next bigint not null)")
            .execute(pool)
            .await
            .unwrap();
        for key in 0..KEYS as i64 {
            sqlx::query("insert into counts values ($1, 0)").bind(key).execute(pool).await.unwrap();
        }
    }};
}

/// A relay in a process of its own.
fn relay(database: &str, broker: &str) -> Child {
    spawn(&["relay", database, broker, "--batch", "50", "--every", "1"])
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Reads until each key has come to its last number, and looks at the order; gives how many came again.
async fn read(broker: &anybroker::Broker, last: &BTreeMap<u64, u64>) -> usize {
    let subscription = Subscription::new(topic(), group()).start(Start::Earliest);
    let mut consumer = broker.consumer(subscription).await.unwrap();
    let (mut next, mut again) = (BTreeMap::<u64, u64>::new(), 0);
    let expected: BTreeMap<_, _> =
        last.iter().filter(|(_, count)| **count > 0).map(|(k, c)| (*k, *c)).collect();
    while next != expected {
        let delivery = tokio::time::timeout(LONG, consumer.next()).await;
        let delivery =
            delivery.unwrap_or_else(|_| panic!("{next:?} came, and {expected:?} were committed")).unwrap();
        let parse = |bytes: &[u8]| str::from_utf8(bytes).unwrap().parse::<u64>().unwrap();
        let (key, number) = (parse(delivery.key().unwrap()), parse(delivery.payload()));
        let due = next.entry(key).or_default();
        assert!(number <= *due, "key {key}: {number} came, and {due} was next");
        assert!(number < expected[&key], "key {key}: {number} was never committed");
        if number < *due {
            again += 1;
        } else {
            *due += 1;
        }
        delivery.ack().await.unwrap();
    }
    consumer.close().await.unwrap();
    again
}

async fn empty<S: Store>(store: &S) {
    let deadline = tokio::time::Instant::now() + LONG;
    while !store.status().await.is_ok_and(|status| status.backlog == 0) {
        assert!(tokio::time::Instant::now() < deadline, "the outbox does not become empty");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_relays_lose_nothing_on_sqlite() {
    let (crashes, seed) = (number("ANYBROKER_CRASHES", 6), number("ANYBROKER_SEED", 1));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let (database_url, broker_url) = (
        format!("sqlite://{}", path.display()),
        format!("sqlite://{}", folder.path().join("broker.db").display()),
    );
    let database = Sqlite::open(&path).await.unwrap();
    database.migrate().await.unwrap();
    counts!(database);
    let broker = anybroker::connect(&broker_url).await.unwrap();
    broker.admin().declare(&Topology::new(topic()).group(group())).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let application = {
        let (database, stop) = (database.clone(), stop.clone());
        tokio::spawn(async move { application!(database, "begin immediate", stop) })
    };
    let mut dice = Dice(seed);
    for _ in 0..crashes {
        let relay = relay(&database_url, &broker_url);
        tokio::time::sleep(Duration::from_millis(300 + dice.below(700))).await;
        kill(relay);
    }
    stop.store(true, Ordering::Relaxed);
    application.await.unwrap();
    let last = relay(&database_url, &broker_url);
    empty(&database).await;
    let counts: Vec<(i64, i64)> =
        sqlx::query_as("select key, next from counts").fetch_all(database.pool()).await.unwrap();
    let again = read(&broker, &counts.iter().map(|(key, next)| (*key as u64, *next as u64)).collect()).await;
    kill(last);
    let committed: i64 = counts.iter().map(|(_, next)| next).sum();
    println!("seed {seed}: {crashes} crashes, {committed} committed, {again} came again");
    assert!(committed > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_relay_database_or_broker_loses_nothing() {
    if excluded("postgres") || excluded("nats") {
        return;
    }
    let (crashes, seed) = (number("ANYBROKER_CRASHES", 12), number("ANYBROKER_SEED", 1));
    let folder = tempfile::tempdir().unwrap();
    let options = Options { ports: PortChoice::Free, ..Options::default() };
    let servers = Arc::new(Brokers::open(folder.path(), options).unwrap());
    let up = servers.up(&["postgres", "nats"]).await.unwrap();
    let url = |name: &str| up.iter().find(|status| status.name == name).unwrap().url.clone().unwrap();
    let (database_url, broker_url) = (url("postgres"), url("nats"));
    let database = Postgres::connect(&database_url).await.unwrap();
    database.migrate().await.unwrap();
    counts!(database);
    let broker = anybroker::connect(&broker_url).await.unwrap();
    broker.admin().declare(&Topology::new(topic()).group(group())).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let applications: Vec<_> = (0..3)
        .map(|_| {
            let (database, stop) = (database.clone(), stop.clone());
            tokio::spawn(async move { application!(database, "begin", stop) })
        })
        .collect();
    let mut dice = Dice(seed);
    let mut relays = [relay(&database_url, &broker_url), relay(&database_url, &broker_url)];
    for _ in 0..crashes {
        tokio::time::sleep(Duration::from_millis(200 + dice.below(1_500))).await;
        match dice.below(4) {
            0 => {
                servers.kill("postgres").await.unwrap();
                servers.up(&["postgres"]).await.unwrap();
            }
            1 => {
                servers.kill("nats").await.unwrap();
                servers.up(&["nats"]).await.unwrap();
            }
            which => {
                let fresh = relay(&database_url, &broker_url);
                kill(std::mem::replace(&mut relays[(which - 2) as usize], fresh));
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    for application in applications {
        application.await.unwrap();
    }
    // One that gave up when it found no database at its start is begun anew.
    relays = relays.map(|old| {
        kill(old);
        relay(&database_url, &broker_url)
    });
    empty(&database).await;
    let counts: Vec<(i64, i64)> =
        sqlx::query_as("select key, next from counts").fetch_all(database.pool()).await.unwrap();
    let again = read(&broker, &counts.iter().map(|(key, next)| (*key as u64, *next as u64)).collect()).await;
    relays.into_iter().for_each(kill);
    servers.down(&["postgres", "nats"]).await.unwrap();
    let committed: i64 = counts.iter().map(|(_, next)| next).sum();
    println!("seed {seed}: {crashes} crashes, {committed} committed, {again} came again");
    assert!(committed > 0);
    assert_eq!(again, 0, "the broker knows a message that it has by its id");
}
