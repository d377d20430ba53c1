//! The relay beside the usual loop: select a hundred rows, publish one, update one, and so on. PostgreSQL and Kafka, both
//! where `ANYBROKER_POSTGRES_URL` and `ANYBROKER_KAFKA_URL` say; rounds of the two take turns.
//!
//! `cargo bench -p anybroker-patterns --features postgres --bench outbox`, with `-- --log` beside the outbox in the log, with
//! `-- --backlog` over backlogs of up to ten million rows.
#![allow(clippy::unwrap_used, missing_docs, reason = "a measurement fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anybroker_core::{
    Broker, Consumer, Group, Message, PublisherExt, PublisherOptions, Start, Subscription, Topic, Topology,
};
use anybroker_patterns::database::{Names, Postgres};
use anybroker_patterns::outbox::{Outbox, PostgresLog, Relay, RelayOptions, Store};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

const KEYS: usize = 1_000;
const NAIVE: usize = 1_000;
const OURS: usize = 200_000;
const ROUNDS: usize = 3;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.into())
}

struct Bench {
    database: Postgres,
    broker: Broker,
    topic: Topic,
}

async fn measure() {
    let postgres = variable("ANYBROKER_POSTGRES_URL", "postgres://postgres:postgres@127.0.0.1:5432/postgres");
    let kafka = variable("ANYBROKER_KAFKA_URL", "kafka://127.0.0.1:9092");
    let names = Names::new("bench_").unwrap().in_schema("bench").unwrap();
    let database = Postgres::connect(&postgres).await.unwrap().with_names(names);
    sqlx::query("drop schema if exists bench cascade").execute(database.pool()).await.unwrap();
    database.migrate().await.unwrap();
    let broker = anybroker_kafka::connect(&kafka.parse().unwrap()).await.unwrap();
    let topic = Topic::new(format!("bench-outbox-{}", std::process::id())).unwrap();
    broker.admin().declare(&Topology::new(topic.clone()).partitions(8)).await.unwrap();
    let bench = Bench { database, broker, topic };

    let (mut naive, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        naive.push(bench.naive().await);
        ours.push(bench.relayed(OURS, OURS).await);
    }
    println!("usual loop     {:>10.0} messages/s, median of {naive:.0?}", median(&mut naive));
    println!("relay          {:>10.0} messages/s, median of {ours:.0?}", median(&mut ours));
    println!("ratio          {:>10.0}", median(&mut ours) / median(&mut naive));
    let tenth = (median(&mut ours) / 10.0) as usize;
    let default = RelayOptions::default().connections;
    for (rate, connections) in [(200, default), (tenth, default), (tenth, 2), (tenth, 8)] {
        let (p50, p99, most) = bench.latency(&bench.database, rate, connections).await;
        println!(
            "latency        {p50:.1?} p50, {p99:.1?} p99, {most:.1?} at most, from commit to receipt, at {rate}/s, {connections} connections"
        );
    }
    if std::env::args().any(|arg| arg == "--log") {
        bench.beside_the_log(tenth).await;
    }
    if std::env::args().any(|arg| arg == "--backlog") {
        // Fewer rows are published before the publisher has found its partitions.
        for backlog in [OURS / 2, OURS, 1_000_000, 10_000_000] {
            let speed = bench.relayed(backlog, backlog.min(OURS)).await;
            println!(
                "backlog        {backlog:>10} rows: {speed:.0} messages/s over the first {}",
                backlog.min(OURS)
            );
        }
    }
    bench.broker.admin().delete(&bench.topic).await.unwrap();
    sqlx::query("drop schema bench cascade").execute(bench.database.pool()).await.unwrap();
}

fn median(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn message(number: usize) -> Message {
    Message::new(vec![b'x'; 128]).with_key(format!("key-{}", number % KEYS))
}

impl Bench {
    async fn naive(&self) -> f64 {
        for drop in [
            "drop table if exists bench.naive",
            "create table bench.naive (id bigserial primary key, \
            key text not null, payload bytea not null, published boolean not null default false)",
        ] {
            sqlx::query(drop).execute(self.database.pool()).await.unwrap();
        }
        sqlx::query("insert into bench.naive (key, payload) select 'key-' || n % 1000, convert_to(repeat('x', 128), 'UTF8') from generate_series(1, $1) n")
            .bind(NAIVE as i64).execute(self.database.pool()).await.unwrap();
        let publisher = self.broker.publisher(PublisherOptions::new(self.topic.clone())).await.unwrap();
        let begun = Instant::now();
        loop {
            let rows = sqlx::query(
                "select id, key, payload from bench.naive where not published order by id limit 100",
            )
            .fetch_all(self.database.pool())
            .await
            .unwrap();
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let message =
                    Message::new(row.get::<Vec<u8>, _>("payload")).with_key(row.get::<String, _>("key"));
                publisher.publish(message).await.unwrap();
                sqlx::query("update bench.naive set published = true where id = $1")
                    .bind(row.get::<i64, _>("id"))
                    .execute(self.database.pool())
                    .await
                    .unwrap();
            }
        }
        NAIVE as f64 / begun.elapsed().as_secs_f64()
    }

    /// How fast the relay publishes the first `count` rows of a backlog.
    async fn relayed(&self, backlog: usize, count: usize) -> f64 {
        let table = self.database.names().table("outbox");
        sqlx::query(AssertSqlSafe(format!("truncate {table}"))).execute(self.database.pool()).await.unwrap();
        // By the shortest way, since staging is not what is measured here.
        let fill = format!(
            "insert into {table} (lane, topic, key, message_id, payload) \
            select (n % 1000) % 16, $2, convert_to('key-' || n % 1000, 'UTF8'), gen_random_uuid()::text, convert_to(repeat('x', 128), 'UTF8') \
            from generate_series(1, $1) n"
        );
        sqlx::query(AssertSqlSafe(fill))
            .bind(backlog as i64)
            .bind(self.topic.as_str())
            .execute(self.database.pool())
            .await
            .unwrap();
        // What filling leaves to be done, the server would do while it is measured; a backlog that grew has it behind it.
        for rest in [format!("vacuum (analyze) {table}"), "checkpoint".to_owned()] {
            sqlx::query(AssertSqlSafe(rest)).execute(self.database.pool()).await.unwrap();
        }
        let relay =
            Relay::open(self.database.clone(), self.broker.clone(), RelayOptions::default()).await.unwrap();
        let progress = relay.progress();
        let begun = Instant::now();
        let done = async {
            while (progress.published() as usize) < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        relay.run(done).await.unwrap();
        progress.published() as f64 / begun.elapsed().as_secs_f64()
    }

    /// The outbox in the log beside the one in the table: staging in transactions of ten by one task, relaying what was staged,
    /// and the time from commit to receipt.
    async fn beside_the_log(&self, tenth: usize) {
        let log = PostgresLog::new(self.database.clone());
        log.create().await.unwrap();
        for _ in 0..ROUNDS {
            for (name, rates) in [
                ("table", self.staged_and_relayed(&self.database).await),
                ("log", self.staged_and_relayed(&log).await),
            ] {
                println!("{name:<14} staged {:.0} messages/s, relayed {:.0}", rates.0, rates.1);
            }
        }
        for rate in [200, 1_000, tenth] {
            let (p50, p99, most) = self.latency(&log, rate, 1).await;
            println!("latency, log   {p50:.1?} p50, {p99:.1?} p99, {most:.1?} at most, at {rate}/s");
        }
        log.remove().await.unwrap();
    }

    async fn staged_and_relayed<S: Store<Connection = PgConnection> + Clone>(&self, store: &S) -> (f64, f64) {
        let outbox = Outbox::new(store.clone(), self.topic.clone());
        let begun = Instant::now();
        for first in (0..OURS / 4).step_by(10) {
            let mut transaction = self.database.pool().begin().await.unwrap();
            outbox.stage_all(&mut transaction, (first..first + 10).map(message)).await.unwrap();
            transaction.commit().await.unwrap();
        }
        let staged = (OURS / 4) as f64 / begun.elapsed().as_secs_f64();
        let relay = Relay::open(store.clone(), self.broker.clone(), RelayOptions::default()).await.unwrap();
        let begun = Instant::now();
        relay.run_due().await.unwrap();
        (staged, relay.progress().published() as f64 / begun.elapsed().as_secs_f64())
    }

    /// Stages until something arrives: the consumer has joined, and the relay's publisher is open.
    async fn warm(
        &self,
        store: &(impl Store<Connection = PgConnection> + Clone),
        consumer: &mut dyn Consumer,
    ) {
        let outbox = Outbox::new(store.clone(), self.topic.clone());
        loop {
            let mut transaction = self.database.pool().begin().await.unwrap();
            outbox.stage(&mut transaction, message(0)).await.unwrap();
            transaction.commit().await.unwrap();
            let Ok(arrived) = tokio::time::timeout(Duration::from_secs(1), consumer.receive(100)).await
            else {
                continue;
            };
            for delivery in arrived.unwrap() {
                delivery.ack().await.unwrap();
            }
            return;
        }
    }

    /// From a transaction's commit to the receipt by a consumer: a little more than to the broker's confirmation.
    async fn latency<S: Store<Connection = PgConnection> + Clone>(
        &self,
        store: &S,
        rate: usize,
        connections: usize,
    ) -> (Duration, Duration, Duration) {
        let table = self.database.names().table("outbox");
        sqlx::query(AssertSqlSafe(format!("truncate {table}"))).execute(self.database.pool()).await.unwrap();
        let options = RelayOptions { connections, ..Default::default() };
        let relay = Relay::open(store.clone(), self.broker.clone(), options).await.unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let relaying = tokio::spawn(relay.run(async move { _ = stopped.await }));
        let subscription =
            Subscription::new(self.topic.clone(), Group::new(uuid::Uuid::now_v7().to_string()).unwrap())
                .start(Start::Latest);
        let mut consumer = self.broker.consumer(subscription).await.unwrap();
        self.warm(store, consumer.as_mut()).await;
        let count = (rate * 10).min(60_000);
        let committed: Arc<Mutex<Vec<Option<Instant>>>> = Arc::new(Mutex::new(vec![None; count]));
        // Each writer commits a few at a time, as many services do.
        let (writers, each) = (4, 1 + rate / 2_000);
        let next = Arc::new(AtomicUsize::new(0));
        let commits: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let begun = Instant::now() + Duration::from_secs(1);
        let mut writing = Vec::new();
        for _ in 0..writers {
            let (database, outbox, committed, next, commits) = (
                self.database.clone(),
                Outbox::new(store.clone(), self.topic.clone()),
                committed.clone(),
                next.clone(),
                commits.clone(),
            );
            writing.push(tokio::spawn(async move {
                loop {
                    let first = next.fetch_add(each, Ordering::Relaxed);
                    if first >= count {
                        return;
                    }
                    let due = begun + Duration::from_secs_f64(first as f64 / rate as f64);
                    tokio::time::sleep_until(due.into()).await;
                    let numbers = first..(first + each).min(count);
                    let messages = numbers
                        .clone()
                        .map(|number| message(number).with_header("number", number.to_string()));
                    let mut transaction = database.pool().begin().await.unwrap();
                    outbox.stage_all(&mut transaction, messages).await.unwrap();
                    // Before the commit is answered, so that no receipt is earlier.
                    let at = Instant::now();
                    numbers.for_each(|number| committed.lock().unwrap()[number] = Some(at));
                    transaction.commit().await.unwrap();
                    commits.lock().unwrap().push(at.elapsed());
                }
            }));
        }
        let mut latencies = Vec::with_capacity(count);
        while latencies.len() < count {
            for delivery in consumer.receive(1_000).await.unwrap() {
                // What it was warmed with has none.
                if let Some(number) = delivery.header("number") {
                    let number: usize = str::from_utf8(number).unwrap().parse().unwrap();
                    latencies.push(committed.lock().unwrap()[number].unwrap().elapsed());
                }
                delivery.ack().await.unwrap();
            }
        }
        for writer in writing {
            writer.await.unwrap();
        }
        drop(stop);
        relaying.await.unwrap().unwrap();
        consumer.close().await.unwrap();
        latencies.sort_unstable();
        let mut commits = std::mem::take(&mut *commits.lock().unwrap());
        commits.sort_unstable();
        let percent = |of: usize| commits[commits.len() * of / 100];
        println!(
            "commits        {:.1?} p50, {:.1?} p99, which the latency has in it",
            percent(50),
            percent(99)
        );
        (latencies[count / 2], latencies[count * 99 / 100], latencies[count - 1])
    }
}
