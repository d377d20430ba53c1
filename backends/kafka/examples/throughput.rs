//! What the contract costs on Kafka: confirmed publishing and tracked consuming beside hand-written rdkafka loops.
//!
//! `cargo run --release -p anybroker-kafka --example throughput -- kafka://127.0.0.1:9092 [MESSAGES] [ROUNDS] [ONLY]`
//!
//! Each line gives messages a second, and the client's own CPU time for each message, which is the steadier figure
//! where the broker shares the machine.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails has nothing to say")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anybroker_core::{
    Broker, Group, Message, MessageId, PublisherOptions, Settlement, Subscription, Topic, Topology,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

const PAYLOAD: usize = 1024;
const PARTITIONS: u32 = 3;
const KEYS: usize = 1000;
const BATCH: usize = 500;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "kafka://127.0.0.1:9092".to_owned());
    let count = arguments.next().map_or(200_000, |n| n.parse().expect("a number of messages"));
    let rounds = arguments.next().map_or(3, |n| n.parse().expect("a number of rounds"));
    let servers = url.trim_start_matches("kafka://").split('?').next().unwrap_or_default().to_owned();
    let broker = anybroker_kafka::connect(&url.parse().expect("a URL")).await.expect("a broker");
    for round in 1..=rounds {
        let topic = Topic::new(format!("throughput-{}", MessageId::new())).unwrap();
        broker.admin().declare(&Topology::new(topic.clone()).partitions(PARTITIONS)).await.unwrap();
        println!("round {round}, {count} messages of {PAYLOAD} bytes");
        let mut stored = 0;
        let raw = async { raw_publish(&servers, &topic, count, false) };
        stored += measure("publish, rdkafka", count, raw).await;
        let raw = async { raw_publish(&servers, &topic, count, true) };
        stored += measure("publish, rdkafka with an id header", count, raw).await;
        stored += measure("publish, anybroker", count, publish(&broker, &topic, count)).await;
        while stored < 3 * count {
            publish(&broker, &topic, count).await;
            stored += count;
        }
        measure("consume, rdkafka", stored, async { raw_consume(&servers, &topic, stored, false) }).await;
        let detached = async { raw_consume(&servers, &topic, stored, true) };
        measure("consume, rdkafka, detached messages", stored, detached).await;
        measure("consume, anybroker", stored, consume(&broker, &topic, stored)).await;
        broker.admin().delete(&topic).await.unwrap();
    }
    broker.close().await.unwrap();
}

async fn measure(what: &str, count: usize, work: impl Future<Output = ()>) -> usize {
    // With ONLY, just the lines whose names hold it.
    if std::env::args().nth(4).is_some_and(|only| !what.contains(&only)) {
        return 0;
    }
    let (cpu, started) = (cpu_time(), Instant::now());
    work.await;
    let rate = count as f64 / started.elapsed().as_secs_f64();
    let each = (cpu_time() - cpu).as_secs_f64() * 1e6 / count as f64;
    println!("  {what:<36} {rate:>9.0} messages/s  {each:>6.2} µs CPU each");
    count
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
    let keys: Vec<anybroker_core::Key> = (0..KEYS).map(|n| format!("key-{n}").into()).collect();
    let mut waiting = VecDeque::new();
    for start in (0..count).step_by(BATCH) {
        let batch: Vec<_> = (start..(start + BATCH).min(count))
            .map(|n| {
                let mut message = Message::new(payload.clone());
                message.key = Some(keys[n % KEYS].clone());
                message
            })
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
    let group = Group::new(MessageId::new().to_string()).unwrap();
    let subscription = Subscription::new(topic.clone(), group).prefetch(10_000);
    let mut consumer = broker.consumer(subscription).await.unwrap();
    let settler = consumer.settler();
    let mut bytes = 0;
    let mut done = 0;
    while done < count {
        let batch = consumer.receive(BATCH).await.unwrap();
        done += batch.len();
        bytes += batch.iter().map(|delivery| delivery.payload().len()).sum::<usize>();
        let acks = batch.into_iter().map(Settlement::ack).collect();
        settler.settle(acks).await.into_iter().for_each(|settled| {
            settled.unwrap();
        });
    }
    assert_eq!(bytes, done * PAYLOAD);
    consumer.close().await.unwrap();
}

#[derive(Default)]
struct Counter {
    confirmed: AtomicUsize,
}

impl ClientContext for Counter {}

impl ProducerContext for Counter {
    type DeliveryOpaque = usize;
    fn delivery(&self, result: &DeliveryResult<'_>, _: usize) {
        assert!(result.is_ok());
        self.confirmed.fetch_add(1, Ordering::Relaxed);
    }
}

fn raw_publish(servers: &str, topic: &Topic, count: usize, id: bool) {
    let producer: BaseProducer<Counter> = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "1")
        .create_with_context(Counter::default())
        .unwrap();
    let producer = Arc::new(producer);
    let stop = Arc::new(AtomicBool::new(false));
    let (polled, stopped) = (producer.clone(), stop.clone());
    let thread = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            polled.poll(Duration::from_millis(50));
        }
    });
    let payload = vec![b'x'; PAYLOAD];
    let keys: Vec<String> = (0..KEYS).map(|n| format!("key-{n}")).collect();
    for n in 0..count {
        // The same window as the other side's.
        while n - producer.context().confirmed.load(Ordering::Relaxed) >= 10_000 {
            std::thread::sleep(Duration::from_micros(100));
        }
        let mut record = BaseRecord::with_opaque_to(topic.as_str(), n).payload(&payload).key(&keys[n % KEYS]);
        if id {
            let id = MessageId::new().to_string();
            record = record.headers(OwnedHeaders::new().insert(Header { key: "ce_id", value: Some(&id) }));
        }
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    assert_eq!(producer.context().confirmed.load(Ordering::Relaxed), count);
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
}

/// `detach` makes each message its own, as handing it to another task needs.
fn raw_consume(servers: &str, topic: &Topic, count: usize, detach: bool) {
    use rdkafka::Message as _;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", MessageId::new().to_string())
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.offset.store", "false")
        .set("auto.commit.interval.ms", "100")
        .set("fetch.queue.backoff.ms", "1")
        .create()
        .unwrap();
    consumer.subscribe(&[topic.as_str()]).unwrap();
    let mut bytes = 0;
    let mut done = 0;
    while done < count {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        bytes +=
            if detach { message.detach().payload().unwrap().len() } else { message.payload().unwrap().len() };
        consumer.store_offset_from_message(&message).unwrap();
        done += 1;
    }
    assert_eq!(bytes, done * PAYLOAD);
}
