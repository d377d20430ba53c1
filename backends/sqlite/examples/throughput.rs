//! Measures what an SQLite broker does on this machine:
//! `cargo run --release -p anybroker-sqlite --example throughput -- [MESSAGES [BYTES [FILE]]]`
//!
//! Publishing in batches, publishing one at a time, consuming, and all of it at once in one and in two processes. Every
//! message is confirmed (committed and synced), every acknowledgement too.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anybroker_core::{
    Backend as _, Consumer, Error, Group, Kind, Message, Publisher, PublisherExt as _, PublisherOptions,
    Result, Settlement, Subscription, Topic,
};
use anybroker_sqlite::{Sqlite, SqliteConfig};

/// Set in a process that only publishes.
const PUBLISHER: &str = "ANYBROKER_THROUGHPUT_PUBLISHER";
const KEYS: usize = 1_000;
const BATCH: usize = 1_000;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |default: usize| arguments.next().map_or(Ok(default), |text| text.parse().map_err(unreadable));
    let (messages, bytes) = (number(200_000)?, number(256)?);
    let directory = std::env::temp_dir().join(format!("anybroker-throughput-{}", std::process::id()));
    let path = std::env::args().nth(3).map_or_else(|| directory.join("throughput.db"), PathBuf::from);
    if let Ok(topic) = std::env::var(PUBLISHER) {
        let broker = open(path).await?;
        publish(&broker, &Topic::new(topic)?, messages, bytes).await?;
        return broker.close().await;
    }
    std::fs::create_dir_all(&directory)
        .map_err(|e| Error::new(Kind::Unexpected, "create", "no directory").with_source(e))?;
    let measured = measure(path, messages, bytes).await;
    let _ = std::fs::remove_dir_all(&directory);
    measured
}

fn unreadable(error: std::num::ParseIntError) -> Error {
    Error::new(Kind::InvalidConfiguration, "arguments", "MESSAGES and BYTES are numbers").with_source(error)
}

async fn open(path: PathBuf) -> Result<Arc<Sqlite>> {
    Ok(Arc::new(Sqlite::open(SqliteConfig::new(path)).await?))
}

async fn measure(path: PathBuf, messages: usize, bytes: usize) -> Result<()> {
    println!("{messages} messages of {bytes} bytes, {KEYS} keys, 8 partitions, {}", path.display());
    let broker = open(path.clone()).await?;
    let (first, both, two) = (Topic::new("first")?, Topic::new("both")?, Topic::new("two")?);
    let group = Group::new("measured")?;

    let began = Instant::now();
    publish(&broker, &first, messages, bytes).await?;
    told("published and confirmed, in batches", messages, began);

    let began = Instant::now();
    let alone = 500.min(messages);
    let publisher = broker.publisher(PublisherOptions::new(Topic::new("alone")?)).await?;
    for at in 0..alone {
        publisher.publish(message(at, bytes)).await?;
    }
    told("published and confirmed, one at a time", alone, began);

    let consumer = broker.consumer(Subscription::new(first, group.clone())).await?;
    let began = Instant::now();
    consume(consumer, messages).await?;
    told("consumed and acknowledged", messages, began);

    let consumer = broker.consumer(Subscription::new(both.clone(), group.clone())).await?;
    let began = Instant::now();
    tokio::try_join!(publish(&broker, &both, messages, bytes), consume(consumer, messages))?;
    told("published, consumed and acknowledged at once", messages, began);

    let consumer = broker.consumer(Subscription::new(two.clone(), group)).await?;
    let began = Instant::now();
    let mut other = other_process(&path, &two, messages, bytes)?;
    tokio::try_join!(publish(&broker, &two, messages, bytes), consume(consumer, 2 * messages))?;
    told("the same, while another process publishes as many", 2 * messages, began);
    let _ = other.wait();
    broker.close().await
}

fn told(what: &str, messages: usize, began: Instant) {
    let took = began.elapsed();
    println!("{:>9.0}/s  {what} ({:.2} s)", messages as f64 / took.as_secs_f64(), took.as_secs_f64());
}

fn other_process(
    path: &PathBuf,
    topic: &Topic,
    messages: usize,
    bytes: usize,
) -> Result<std::process::Child> {
    let failed = |error| Error::new(Kind::Unexpected, "spawn", "no second process").with_source(error);
    let program: std::io::Result<PathBuf> = std::env::current_exe();
    Command::new(program.map_err(failed)?)
        .args([messages.to_string(), bytes.to_string()])
        .arg(path)
        .env(PUBLISHER, topic.as_str())
        .stdin(Stdio::null())
        .spawn()
        .map_err(failed)
}

fn message(at: usize, bytes: usize) -> Message {
    Message::new(vec![b'x'; bytes]).with_key(format!("key-{}", at % KEYS))
}

async fn publish(broker: &Sqlite, topic: &Topic, messages: usize, bytes: usize) -> Result<()> {
    let publisher: Arc<dyn Publisher> = broker.publisher(PublisherOptions::new(topic.clone())).await?;
    let all = futures::stream::iter((0..messages).map(|at| message(at, bytes)));
    publisher.publish_all(all).await?;
    publisher.close().await
}

async fn consume(mut consumer: Box<dyn Consumer>, messages: usize) -> Result<()> {
    let settler = consumer.settler();
    let mut done = 0;
    while done < messages {
        let batch = tokio::time::timeout(Duration::from_secs(30), consumer.receive(BATCH)).await;
        let batch = batch.map_err(|_| Error::new(Kind::TimedOut, "receive", "nothing more came"))??;
        done += batch.len();
        for result in settler.settle(batch.into_iter().map(Settlement::ack).collect()).await {
            result?;
        }
    }
    consumer.close().await
}
