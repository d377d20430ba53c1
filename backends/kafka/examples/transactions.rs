//! What transactions cost on Kafka: reading, publishing and acknowledging in transactions of 1, 100 and 1,000 messages, beside
//! the same without a transaction, and beside rdkafka by hand.
//!
//! `cargo run --release -p anybroker-kafka --example transactions -- kafka://127.0.0.1:9092 [ROUNDS]`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails has nothing to say")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anybroker_core::{
    Broker, Consumer, Delivery, Group, Message, MessageId, PublisherExt, PublisherOptions, Settlement,
    Subscription, Topic, Topology, TransactionOptions, TransactionalId,
};
use anybroker_worker::{BoxError, Context, Handling, Happening, Observer, Worker};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

const PAYLOAD: usize = 1024;
const PARTITIONS: u32 = 3;
/// How many messages are in a transaction, and how many go through in a round.
const SIZES: [(usize, usize); 3] = [(1, 300), (100, 20_000), (1_000, 100_000)];
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "kafka://127.0.0.1:9092".to_owned());
    let rounds = arguments.next().map_or(3, |n| n.parse().expect("a number of rounds"));
    let servers = url.trim_start_matches("kafka://").split('?').next().unwrap_or_default().to_owned();
    let broker = anybroker_kafka::connect(&url.parse().expect("a URL")).await.expect("a broker");
    let topic = |name| Topic::new(format!("transactions-{name}-{}", MessageId::new())).unwrap();
    let (from, to) = (topic("from"), topic("to"));
    for topic in [&from, &to] {
        broker.admin().declare(&Topology::new(topic.clone()).partitions(PARTITIONS)).await.unwrap();
    }
    fill(&broker, &from, SIZES[2].1 + 3_000).await;
    for round in 1..=rounds {
        println!("round {round}");
        for (size, count) in SIZES {
            let plain = plain(&broker, &from, &to, (size, count)).await;
            let ours = transactions(&broker, &from, &to, (size, count)).await;
            let hand = by_hand(&servers, from.as_str(), to.as_str(), (size, count));
            println!(
                "  {size:>5} messages each: at least once {plain:>7.0}/s; transactions {ours:>7.0}/s, by hand {hand:>7.0}/s; \
                 of by hand {:.2}, of at least once {:.2}",
                ours / hand,
                ours / plain
            );
        }
        let worker = worker(&broker, &from, &to, SIZES[2].1).await;
        println!("  a worker that handles exactly once, a message published for each: {worker:.0}/s");
    }
    for topic in [&from, &to] {
        broker.admin().delete(topic).await.unwrap();
    }
    broker.close().await.unwrap();
}

async fn fill(broker: &Broker, topic: &Topic, count: usize) {
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    for start in (0..count).step_by(1_000) {
        let message = |n| Message::new(vec![b'x'; PAYLOAD]).with_key(format!("key-{}", n % 1_000));
        for outcome in publisher.publish_batch((start..start + 1_000).map(message).collect()).await {
            outcome.unwrap();
        }
    }
    publisher.close().await.unwrap();
}

async fn reader(broker: &Broker, topic: &Topic) -> Box<dyn Consumer> {
    let group = Group::new(MessageId::new().to_string()).unwrap();
    broker.consumer(Subscription::new(topic.clone(), group).prefetch(10_000)).await.unwrap()
}

async fn take(consumer: &mut dyn Consumer, size: usize) -> Vec<Delivery> {
    let mut batch = Vec::with_capacity(size);
    while batch.len() < size {
        batch.extend(consumer.receive(size - batch.len()).await.unwrap());
    }
    batch
}

fn copies(batch: &[Delivery]) -> Vec<Message> {
    let copy = |delivery: &Delivery| {
        let key = String::from_utf8_lossy(delivery.key().unwrap_or_default()).into_owned();
        Message::new(delivery.payload().clone()).with_key(key)
    };
    batch.iter().map(copy).collect()
}

/// Messages a second, from the second batch on: joining the group takes longer than most of it.
async fn plain(broker: &Broker, from: &Topic, to: &Topic, (size, count): (usize, usize)) -> f64 {
    let publisher = broker.publisher(PublisherOptions::new(to.clone())).await.unwrap();
    let mut consumer = reader(broker, from).await;
    let (settler, mut began) = (consumer.settler(), Instant::now());
    for turn in 0..=count / size {
        let batch = take(&mut *consumer, size).await;
        for outcome in publisher.publish_batch(copies(&batch)).await {
            outcome.unwrap();
        }
        for settled in settler.settle(batch.into_iter().map(Settlement::ack).collect()).await {
            settled.unwrap();
        }
        if turn == 0 {
            began = Instant::now();
        }
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    consumer.close().await.unwrap();
    publisher.close().await.unwrap();
    rate
}

async fn transactions(broker: &Broker, from: &Topic, to: &Topic, (size, count): (usize, usize)) -> f64 {
    let id = TransactionalId::new(MessageId::new().to_string()).unwrap();
    let mut publisher = broker.transactional_publisher(TransactionOptions::new(id)).await.unwrap();
    let mut consumer = reader(broker, from).await;
    let mut began = Instant::now();
    for turn in 0..=count / size {
        let batch = take(&mut *consumer, size).await;
        let transaction = publisher.begin().await.unwrap();
        transaction.publish(to, copies(&batch)).await.unwrap();
        transaction.settle(batch).await.unwrap();
        transaction.commit().await.unwrap();
        if turn == 0 {
            began = Instant::now();
        }
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    consumer.close().await.unwrap();
    publisher.close().await.unwrap();
    rate
}

/// Messages a second through a worker's handlers, from the first thousand on.
async fn worker(broker: &Broker, from: &Topic, to: &Topic, count: usize) -> f64 {
    let subscription = Subscription::new(from.clone(), Group::new(MessageId::new().to_string()).unwrap());
    let id = TransactionalId::new(MessageId::new().to_string()).unwrap();
    let handling = Handling::default().concurrency(64).exactly_once(TransactionOptions::new(id));
    let to = to.clone();
    let handler = tower::service_fn(move |delivery: Delivery| {
        let to = to.clone();
        async move {
            let publishers = Context::of(&delivery).unwrap().publishers();
            let copy = copies(std::slice::from_ref(&delivery)).remove(0);
            publishers.publish(&to, copy).await.map(drop).map_err(BoxError::from)
        }
    });
    let (committed, mut all) = tokio::sync::watch::channel(0);
    let worker = Worker::builder(broker.clone())
        .handling(handling)
        .observe(Arc::new(Counts(committed)))
        .subscribe(subscription.prefetch(10_000), handler)
        .build()
        .unwrap();
    let mut rate = 0.0;
    let measure = async {
        let first = *all.wait_for(|so_far| *so_far >= 1_000).await.unwrap();
        let began = Instant::now();
        let last = *all.wait_for(|so_far| *so_far >= count).await.unwrap();
        rate = (last - first) as f64 / began.elapsed().as_secs_f64();
    };
    worker.run_until(measure).await.unwrap();
    rate
}

/// Counts what is committed.
struct Counts(tokio::sync::watch::Sender<usize>);

impl Observer for Counts {
    fn observe(&self, _: &Topic, _: &Group, happening: &Happening<'_>) {
        if let Happening::Settled { result: Ok(_), .. } = happening {
            self.0.send_modify(|count| *count += 1);
        }
    }
}

fn by_hand(servers: &str, from: &str, to: &str, (size, count): (usize, usize)) -> f64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", MessageId::new().to_string())
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "1")
        .create()
        .unwrap();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("transactional.id", MessageId::new().to_string())
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "1")
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    consumer.subscribe(&[from]).unwrap();
    let mut began = Instant::now();
    for turn in 0..=count / size {
        let mut offsets = BTreeMap::new();
        let mut taken = 0;
        while taken < size {
            let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
            let message = message.unwrap();
            if taken == 0 {
                producer.begin_transaction().unwrap();
            }
            let (payload, key) = (message.payload().unwrap_or_default(), message.key().unwrap_or_default());
            producer.send(BaseRecord::to(to).payload(payload).key(key)).map_err(|(error, _)| error).unwrap();
            offsets.insert(message.partition(), message.offset() + 1);
            taken += 1;
        }
        // The library's own flush, which its commit calls too, takes 100 ms: its poll does not end before its time.
        while producer.flush(Duration::ZERO).is_err() {
            producer.poll(Duration::from_millis(1));
        }
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(from, partition, Offset::Offset(offset)).unwrap();
        }
        let member = consumer.group_metadata().unwrap();
        producer.send_offsets_to_transaction(&list, &member, PATIENCE).unwrap();
        producer.commit_transaction(PATIENCE).unwrap();
        if turn == 0 {
            began = Instant::now();
        }
    }
    count as f64 / began.elapsed().as_secs_f64()
}
