//! What lanes cost on JetStream: confirmed publishing, and consuming with every acknowledgement confirmed by the server.
//!
//! `cargo run --release -p anybroker-nats --example throughput -- nats://127.0.0.1:4222 [MESSAGES]`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails has nothing to say")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anybroker_core::{
    Broker, Group, Key, Message, MessageId, PublisherOptions, Settlement, Subscription, Topic, Topology,
};

const PAYLOAD: usize = 1024;
const KEYS: usize = 1000;
const BATCH: usize = 500;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());
    let count: usize = arguments.next().map_or(50_000, |n| n.parse().expect("a number of messages"));
    for partitions in [1, 8] {
        for lanes in ["relaxed", "strict"] {
            let url = format!("{url}?lanes={lanes}");
            let broker = anybroker_nats::connect(&url.parse().expect("a URL")).await.expect("a broker");
            let topic = Topic::new(format!("throughput-{}", MessageId::new())).unwrap();
            let topology =
                Topology::new(topic.clone()).group(Group::new("g").unwrap()).partitions(partitions);
            broker.admin().declare(&topology).await.unwrap();
            println!("{partitions} partitions, {lanes}, {count} messages of {PAYLOAD} bytes");
            measure("publish", count, publish(&broker, &topic, count)).await;
            measure("consume", count, consume(&broker, &topic, count)).await;
            broker.admin().delete(&topic).await.unwrap();
            broker.close().await.unwrap();
        }
    }
}

async fn measure(what: &str, count: usize, work: impl Future<Output = ()>) {
    let (cpu, started) = (cpu_time(), Instant::now());
    work.await;
    let rate = count as f64 / started.elapsed().as_secs_f64();
    let each = (cpu_time() - cpu).as_secs_f64() * 1e6 / count as f64;
    println!("  {what:<10} {rate:>9.0} messages/s  {each:>6.2} µs CPU each");
}

/// The CPU time that this process has used, in the kernel's ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|n| n.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

async fn publish(broker: &Broker, topic: &Topic, count: usize) {
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    let payload = bytes::Bytes::from(vec![b'x'; PAYLOAD]);
    let keys: Vec<Key> = (0..KEYS).map(|n| format!("key-{n}").into()).collect();
    let mut waiting = VecDeque::new();
    for start in (0..count).step_by(BATCH) {
        let batch: Vec<_> = (start..(start + BATCH).min(count))
            .map(|n| Message::new(payload.clone()).with_key(keys[n % KEYS].clone()))
            .collect();
        let bytes = batch.iter().map(Message::size).sum();
        let permit = publisher.ready(batch.len(), bytes).await.unwrap();
        waiting.push_back(publisher.enqueue(permit, batch));
        if waiting.len() > 16 {
            waiting.pop_front().unwrap().await.into_iter().for_each(|outcome| {
                outcome.unwrap();
            });
        }
    }
    for confirmations in waiting {
        confirmations.await.into_iter().for_each(|outcome| {
            outcome.unwrap();
        });
    }
    publisher.close().await.unwrap();
}

async fn consume(broker: &Broker, topic: &Topic, count: usize) {
    let subscription = Subscription::new(topic.clone(), Group::new("g").unwrap()).prefetch(5_000);
    let mut consumer = broker.consumer(subscription).await.unwrap();
    let settler = consumer.settler();
    let mut done = 0;
    while done < count {
        let batch = consumer.receive(BATCH).await.unwrap();
        done += batch.len();
        let acks = batch.into_iter().map(Settlement::ack).collect();
        settler.settle(acks).await.into_iter().for_each(|settled| {
            settled.unwrap();
        });
    }
    consumer.close().await.unwrap();
}
