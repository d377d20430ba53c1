//! The worker handles exactly once on the worst legal Kafka: each order is billed once, in order, whoever is killed when.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::time::Duration;

use anybroker::worker::{Attempt, Batches, Failure, Handling, Item, Publishers, Retry, Worker};
use anybroker::{
    Broker, ConsumerExt, DeadLetterPolicy, Event, Group, Key, Message, PublisherExt, PublisherOptions,
    Result, Subscription, Topic, Topology, TransactionOptions, TransactionalId,
};
use anybroker_explore::{Like, Run, explore};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

const ORDERS: u32 = 30;
const KEYS: u32 = 4;
const SEEDS: u64 = 300;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Placed {
    number: u32,
}

impl Event for Placed {
    const TYPE: &'static str = "placed";

    fn key(&self) -> Option<Key> {
        Some(format!("k{}", self.number % KEYS).into())
    }
}

/// Fails for good.
fn is_poison(number: u32) -> bool {
    number % 13 == 7
}

fn bill(placed: &Placed) -> Result<Message> {
    Message::event(placed)
}

/// Publishes, and fails then: nothing of that may be seen.
async fn invoice(
    placed: Placed,
    Attempt(attempt): Attempt,
    publishers: Publishers,
) -> std::result::Result<(), Failure> {
    sleep(Duration::from_millis(1 + u64::from(placed.number % 5))).await;
    publishers.publish(&Topic::new("bills")?, bill(&placed)?).await?;
    if is_poison(placed.number) {
        return Err(Failure::permanent("it is poisoned"));
    }
    if placed.number.is_multiple_of(5) && attempt < 3 {
        return Err(Failure::retry_after(Duration::from_millis(50), "not yet"));
    }
    Ok(())
}

/// The same, in batches: what is published belongs to all of them.
async fn invoices(batch: Vec<Item<Placed>>, publishers: Publishers) -> Vec<std::result::Result<(), Failure>> {
    let mut each = Vec::new();
    for item in batch {
        let attempt = Attempt(item.delivery.attempt());
        each.push(invoice(item.event, attempt, publishers.clone()).await);
    }
    each
}

fn worker(broker: Broker, name: &str) -> Result<(anybroker::worker::Builder, Subscription)> {
    let policy = DeadLetterPolicy { topic: Topic::new("dead")?, max_attempts: None };
    let subscription = Subscription::new(Topic::new("orders")?, Group::new("billing")?).dead_letter(policy);
    let handling = Handling::default()
        .concurrency(6)
        .retry(Retry::default().attempts(10))
        .exactly_once(TransactionOptions::new(TransactionalId::new(format!("billing-{name}"))?));
    Ok((Worker::builder(broker).handling(handling), subscription))
}

async fn one_by_one(broker: Broker, name: &'static str) -> Result<()> {
    let (builder, subscription) = worker(broker, name)?;
    builder.subscribe(subscription, invoice).build()?.run_until(std::future::pending()).await
}

async fn in_batches(broker: Broker, name: &'static str) -> Result<()> {
    let (builder, subscription) = worker(broker, name)?;
    let builder = builder.subscribe_batch(subscription, Batches::of(5), invoices);
    builder.build()?.run_until(std::future::pending()).await
}

async fn bills<F>(run: Run, service: fn(Broker, &'static str) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (orders, bills, dead) = (Topic::new("orders")?, Topic::new("bills")?, Topic::new("dead")?);
    let outside = run.outside();
    for (topic, group) in [(&orders, "billing"), (&bills, "accounts"), (&dead, "people")] {
        outside.admin().declare(&Topology::new(topic.clone()).group(Group::new(group)?)).await?;
    }
    for name in ["one", "two"] {
        run.process(name, move |broker| service(broker, name));
    }
    let publisher = outside.publisher(PublisherOptions::new(orders)).await?;
    for number in 0..ORDERS {
        let message = Message::event(&Placed { number })?.with_id(format!("order-{number}"));
        publisher.publish(message).await?;
        sleep(Duration::from_millis(2)).await;
    }
    // Nobody of the service reads these, so that they are all here at the end.
    sleep(Duration::from_secs(90)).await;
    let seen = all(&outside, &bills, "accounts").await?;
    let letters = all(&outside, &dead, "people").await?;
    for first in 0..KEYS {
        let of_key = (first..ORDERS).step_by(KEYS as usize);
        let wanted: Vec<_> = of_key.filter(|it| !is_poison(*it)).collect();
        let billed: Vec<_> = seen.iter().copied().filter(|it| it % KEYS == first).collect();
        assert_eq!(billed, wanted, "bills of key k{first}");
    }
    let mut letters = letters;
    letters.sort_unstable();
    assert_eq!(letters, (0..ORDERS).filter(|it| is_poison(*it)).collect::<Vec<_>>(), "dead letters");
    Ok(())
}

/// Everything that is there.
async fn all(broker: &Broker, topic: &Topic, group: &str) -> Result<Vec<u32>> {
    let group = Group::new(group)?;
    let count = broker.admin().backlog(topic, &group).await?;
    let mut consumer = broker.consumer(Subscription::new(topic.clone(), group)).await?;
    let mut all = Vec::new();
    for _ in 0..count {
        let delivery = consumer.next().await?;
        all.push(delivery.event::<Placed>()?.number);
        delivery.ack().await?;
    }
    Ok(all)
}

#[test]
fn handlers_one_by_one() {
    explore(Like::Kafka, |run| bills(run, one_by_one)).seeds(SEEDS).run();
}

#[test]
fn handlers_of_batches() {
    explore(Like::Kafka, |run| bills(run, in_batches)).seeds(SEEDS).run();
}

#[test]
fn the_story_tells_of_transactions() {
    let explorer = explore(Like::Kafka, |run| bills(run, one_by_one));
    let history = explorer.history(&3.into());
    assert!(history.contains("in a transaction") && history.contains("is committed"), "{history}");
    assert_eq!(history, explorer.history(&3.into()), "it is the same every time");
}
