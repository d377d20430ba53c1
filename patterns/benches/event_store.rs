//! Appends beside one transaction per event, each awaited, on PostgreSQL and on SQLite: events in a second, by rounds in which
//! all ways take turns, and how long an event takes from its commit to a subscriber at a tenth of the most.
//!
//! `cargo bench -p anybroker-patterns --bench event_store`; PostgreSQL is found by `ANYBROKER_POSTGRES_URL`. With `-- --postgres`
//! or `-- --sqlite` only one of the two.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark may end where it goes wrong")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anybroker_patterns::database::{Names, Postgres, Sqlite};
use anybroker_patterns::event_store::{AppendError, EventStore, Expected, NewEvent, Store};
use sqlx::AssertSqlSafe;

/// Events of the slow ways.
const FEW: u64 = 3_000;
/// Events of the fast ways.
const MANY: u64 = 200_000;
/// How many tasks append, each waiting for its own append.
const TASKS: u64 = 2_000;
/// How often each way has its turn.
const ROUNDS: usize = 3;

fn event() -> NewEvent {
    NewEvent::new(
        "order.placed",
        1,
        r#"{"order":"o-1234567","customer":"c-1234567","cents":12345,"items":[1,2,3]}"#,
    )
    .by("bench")
    .correlated("checkout-1234567")
}

/// Events in a second.
async fn rate(name: &str, count: u64, work: impl Future<Output = ()>) -> f64 {
    let begun = Instant::now();
    work.await;
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("  {name:<58} {rate:>9.0} events/s");
    rate
}

/// One transaction per event: the store's own append.
async fn one_by_one<D: Store>(store: &EventStore<D>, round: usize) {
    for at in 0..FEW {
        let mut transaction = store.begin().await.unwrap();
        let (stream, version) = (format!("one-{round}-{}", at % 10), Expected::Version(at / 10));
        store.append(&mut transaction, &stream, version, &[event()]).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

/// As it is written by hand: a plain table, its unique index finds conflicts.
async fn by_hand(database: &Postgres, table: &str, round: usize) {
    let insert = format!("insert into {table} (stream, version, type, data) values ($1, $2, $3, $4)");
    for at in 0..FEW {
        let mut transaction = database.pool().begin().await.unwrap();
        let event = event();
        let query = sqlx::query(AssertSqlSafe(insert.clone()));
        let query = query.bind(format!("hand-{round}-{}", at % 10)).bind((at / 10) as i64);
        query.bind(event.event_type).bind(&event.data[..]).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

/// Many tasks append one event at a time, each to its own stream with the expected version.
async fn grouped<D: Store>(store: &EventStore<D>, round: usize, count: u64) {
    let appender = Arc::new(store.appender(Default::default()));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let appender = appender.clone();
            tokio::spawn(async move {
                let stream = format!("group-{round}-{task}");
                let mut version = 0;
                for _ in 0..count / TASKS {
                    let expected = Expected::Version(version);
                    version =
                        appender.append(stream.as_str(), expected, vec![event()]).await.unwrap().version;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Two tasks append to each stream: every conflict is found, and no version is given twice.
async fn contended<D: Store>(store: &EventStore<D>, count: u64) -> u64 {
    let appender = Arc::new(store.appender(Default::default()));
    let conflicts = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (appender, conflicts) = (appender.clone(), conflicts.clone());
            tokio::spawn(async move {
                let stream = format!("contended-{}", task / 2);
                let (mut version, mut stored) = (0, 0);
                while stored < count / TASKS {
                    match appender.append(stream.as_str(), Expected::Version(version), vec![event()]).await {
                        Ok(appended) => (version, stored) = (appended.version, stored + 1),
                        Err(AppendError::Conflict { actual, .. }) => {
                            conflicts.fetch_add(1, Ordering::Relaxed);
                            version = actual;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for stream in 0..TASKS / 2 {
        let version = store.read(&format!("contended-{stream}"), 1, 1).await.unwrap().version;
        assert_eq!(version, 2 * (count / TASKS), "an append was lost or taken twice");
    }
    conflicts.load(Ordering::Relaxed)
}

/// One task appends so many events at a time.
async fn batches<D: Store>(store: &EventStore<D>, stream: String, each: u64, count: u64) {
    let events = vec![event(); each as usize];
    for at in 0..count / each {
        let mut transaction = store.begin().await.unwrap();
        store.append(&mut transaction, &stream, Expected::Version(at * each), &events).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

async fn catch_up<D: Store>(store: &EventStore<D>, count: u64) {
    let mut subscription = store.subscribe(0).with_batch(2_000);
    let mut seen = 0;
    while seen < count {
        seen += subscription.next_batch().await.unwrap().len() as u64;
    }
}

/// From the call of append to the subscriber, in order of size.
async fn latencies<D: Store>(store: &EventStore<D>, after: u64, rate: f64) -> Vec<Duration> {
    let begun = Instant::now();
    let count = (rate * 5.0) as u64;
    let mut subscription = store.subscribe(after);
    let following = tokio::spawn(async move {
        let mut all = Vec::new();
        while (all.len() as u64) < count {
            for event in subscription.next_batch().await.unwrap() {
                let sent: u64 = event.json().unwrap();
                all.push(begun.elapsed() - Duration::from_micros(sent));
            }
        }
        all
    });
    let appender = Arc::new(store.appender(Default::default()));
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    let mut sent = 0;
    while sent < count {
        tick.tick().await;
        let due = ((begun.elapsed().as_secs_f64() * rate) as u64).min(count);
        for at in sent..due {
            let appender = appender.clone();
            let now = begun.elapsed().as_micros() as u64;
            tokio::spawn(async move {
                let event = NewEvent::new("e", 1, now.to_string());
                appender.append(format!("live-{}", at % 500), Expected::Any, vec![event]).await.unwrap();
            });
        }
        sent = due;
    }
    let mut all = following.await.unwrap();
    all.sort_unstable();
    all
}

/// The ways to append.
const WAYS: [&str; 5] = [
    "one transaction per event, by hand",
    "one transaction per event, this store",
    "500 events in a transaction",
    "1,000 events in a transaction, two tasks",
    "2,000 tasks, each awaiting its own append",
];

async fn measure<D: Store>(store: &EventStore<D>, by_hand: impl AsyncFn(usize)) {
    let mut rates = [const { Vec::new() }; WAYS.len()];
    for round in 0..ROUNDS {
        let [hand, own, batched, two, tasks] = &mut rates;
        hand.push(rate(WAYS[0], FEW, by_hand(round)).await);
        own.push(rate(WAYS[1], FEW, one_by_one(store, round)).await);
        let stream = |name| format!("{name}-{round}");
        batched.push(rate(WAYS[2], MANY, batches(store, stream("batch"), 500, MANY)).await);
        let both = async {
            tokio::join!(
                batches(store, stream("two-a"), 1_000, MANY / 2),
                batches(store, stream("two-b"), 1_000, MANY / 2)
            );
        };
        two.push(rate(WAYS[3], MANY, both).await);
        tasks.push(rate(WAYS[4], MANY, grouped(store, round, MANY)).await);
    }
    let [hand, own, batched, two, tasks] = rates.map(median);
    for (way, rate) in WAYS.iter().zip([hand, own, batched, two, tasks]) {
        println!(
            "  median: {way:<50} {rate:>9.0} events/s, {:>5.1} times by hand, {:>5.1} times its own one by one",
            rate / hand,
            rate / own
        );
    }
    let mut conflicts = 0;
    let contended = async { conflicts = contended(store, MANY / 4).await };
    rate("2,000 tasks, two for each stream", MANY / 4, contended).await;
    println!("    {conflicts} conflicts were found, none was missed");
    let stored = ROUNDS as u64 * (FEW + 3 * MANY) + MANY / 4;
    rate("a subscriber catches up", stored, catch_up(store, stored)).await;
    let all = latencies(store, newest(store).await, tasks / 10.0).await;
    let at = |share: f64| all.get((all.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!(
        "  append to subscriber at {:.0} events/s: p50 {:.1?}, p99 {:.1?}, max {:.1?}",
        tasks / 10.0,
        at(0.5),
        at(0.99),
        all.last().unwrap()
    );
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// The last position, from an append that is rolled back.
async fn newest<D: Store>(store: &EventStore<D>) -> u64 {
    let mut transaction = store.begin().await.unwrap();
    let last = store.append(&mut transaction, "last", Expected::Any, &[event()]).await.unwrap();
    transaction.rollback().await.unwrap();
    last.position - 1
}

async fn on_postgres() {
    let url = std::env::var("ANYBROKER_POSTGRES_URL")
        .unwrap_or_else(|_| "postgres://postgres:postgres@127.0.0.1:5432/postgres".into());
    let schema = format!("bench_{}", std::process::id());
    let names = Names::default().in_schema(&schema).unwrap();
    let database = Postgres::connect(&url).await.unwrap().with_names(names);
    database.migrate().await.unwrap();
    let plain = format!(
        "create table {schema}.plain (position bigserial primary key, stream text not null, version bigint not null, \
         type text not null, data bytea not null, unique (stream, version))"
    );
    sqlx::raw_sql(AssertSqlSafe(plain)).execute(database.pool()).await.unwrap();
    println!("PostgreSQL, every commit on disk");
    let table = format!("{schema}.plain");
    let store = EventStore::open(database.clone()).await.unwrap();
    measure(&store, async |round| by_hand(&database, &table, round).await).await;
    sqlx::raw_sql(AssertSqlSafe(format!("drop schema {schema} cascade")))
        .execute(database.pool())
        .await
        .unwrap();
}

async fn on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let database = Sqlite::open(directory.path().join("events.db")).await.unwrap();
    database.migrate().await.unwrap();
    println!("SQLite, every commit on disk");
    let plain = "create table plain (position integer primary key, stream text not null, version integer not null, \
                 type text not null, data blob not null, unique (stream, version))";
    sqlx::raw_sql(plain).execute(database.pool()).await.unwrap();
    let insert = "insert into plain (stream, version, type, data) values (?, ?, ?, ?)";
    let by_hand = async |round| {
        for at in 0..FEW {
            let mut transaction = database.pool().begin().await.unwrap();
            let event = event();
            let query = sqlx::query(insert).bind(format!("hand-{round}-{}", at % 10)).bind((at / 10) as i64);
            query.bind(event.event_type).bind(&event.data[..]).execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        }
    };
    measure(&EventStore::open(database.clone()).await.unwrap(), by_hand).await;
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let load = || std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    print!("load before: {}", load());
    let only = |name: &str| std::env::args().any(|argument| argument == name);
    if !only("--sqlite") {
        runtime.block_on(on_postgres());
    }
    if !only("--postgres") {
        runtime.block_on(on_sqlite());
    }
    print!("load after: {}", load());
}
