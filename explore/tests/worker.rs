//! The worker on the worst legal broker: nothing is lost, order holds within each key, and what is poisoned is put aside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anybroker::worker::{Failure, Handling, Retry, State, Worker};
use anybroker::{
    Broker, DeadLetterPolicy, Event, Group, Key, Message, PublisherExt, PublisherOptions, Result,
    Subscription, Topic, Topology,
};
use anybroker_explore::{Like, Run, explore};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

const EVENTS: u32 = 40;
const KEYS: u32 = 4;
/// Some ten milliseconds each in a debug build.
const SEEDS: u64 = 200;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Counted {
    number: u32,
}

impl Event for Counted {
    const TYPE: &'static str = "counted";

    fn key(&self) -> Option<Key> {
        Some(key(self.number).into())
    }
}

fn key(number: u32) -> String {
    format!("k{}", number % KEYS)
}

/// Fails for good.
fn is_poison(number: u32) -> bool {
    number == 17
}

/// The numbers of each key in the order in which they were done first, and how often each failed.
#[derive(Clone, Debug, Default)]
struct Table(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    done: BTreeMap<String, Vec<u32>>,
    failed: BTreeMap<u32, u32>,
}

async fn count(event: Counted, State(table): State<Table>) -> std::result::Result<(), Failure> {
    sleep(Duration::from_millis(1 + u64::from(event.number % 5))).await;
    if is_poison(event.number) {
        return Err(Failure::permanent("it is poisoned"));
    }
    let mut rows = table.0.lock().unwrap();
    let failed = rows.failed.entry(event.number).or_default();
    *failed += 1;
    if event.number.is_multiple_of(5) && *failed < 3 {
        return Err(Failure::retry_after(Duration::from_millis(50), "not yet"));
    }
    let done = rows.done.entry(key(event.number)).or_default();
    if !done.contains(&event.number) {
        done.push(event.number);
    }
    Ok(())
}

async fn service(broker: Broker, table: Table) -> Result<()> {
    let policy = DeadLetterPolicy { topic: Topic::new("dead")?, max_attempts: None };
    let subscription = Subscription::new(Topic::new("events")?, Group::new("counting")?).dead_letter(policy);
    let worker = Worker::builder(broker)
        .state(table)
        .handling(Handling::default().concurrency(8).retry(Retry::default().attempts(10)))
        .subscribe(subscription, count)
        .build()?;
    worker.run_until(std::future::pending()).await
}

async fn events(run: Run) -> Result<()> {
    let (topic, dead) = (Topic::new("events")?, Topic::new("dead")?);
    let admin = run.outside();
    admin.admin().declare(&Topology::new(topic.clone()).group(Group::new("counting")?)).await?;
    // A dead letter needs somebody to get it, where a message without a group is refused.
    admin.admin().declare(&Topology::new(dead).group(Group::new("people")?)).await?;
    let table = Table::default();
    for name in ["worker 1", "worker 2"] {
        let table = table.clone();
        run.process(name, move |broker| service(broker, table.clone()));
    }
    run.process("people", people);
    let publisher = admin.publisher(PublisherOptions::new(topic)).await?;
    for number in 0..EVENTS {
        let message = Message::event(&Counted { number })?.with_id(format!("event-{number}"));
        publisher.publish(message).await?;
        sleep(Duration::from_millis(2)).await;
    }
    run.drained().await;

    let rows = table.0.lock().unwrap();
    for first in 0..KEYS {
        let wanted: Vec<_> = (first..EVENTS).step_by(KEYS as usize).filter(|it| !is_poison(*it)).collect();
        assert_eq!(rows.done.get(&key(first)), Some(&wanted), "key {}", key(first));
    }
    Ok(())
}

/// Reads the dead letters.
async fn people(broker: Broker) -> Result<()> {
    use anybroker::ConsumerExt;
    let mut consumer = broker.consumer(Subscription::new(Topic::new("dead")?, Group::new("people")?)).await?;
    loop {
        let _ = consumer.next().await?.ack().await;
    }
}

fn survives(like: Like) {
    let explorer = explore(like, events).seeds(SEEDS);
    for seed in 0..10 {
        assert_eq!(explorer.history(&seed.into()), explorer.history(&seed.into()), "{like} {seed}");
    }
    explorer.run();
}

#[test]
fn kafka() {
    survives(Like::Kafka);
}

#[test]
fn rabbitmq() {
    survives(Like::RabbitMq);
}

#[test]
fn jetstream() {
    survives(Like::JetStream);
}

#[test]
fn sqs_fifo() {
    survives(Like::SqsFifo);
}

#[test]
fn pulsar() {
    survives(Like::Pulsar);
}
