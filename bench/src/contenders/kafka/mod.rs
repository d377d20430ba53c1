//! Kafka by hand: librdkafka through the `rdkafka` crate.

mod base_consumer;
mod batch_consumer;
mod callback_producer;
mod future_producer;
mod naive;
mod offsets;
mod stream_consumer;
mod threaded_producer;

use anybroker::BrokerUrl;
use rdkafka::ClientConfig;

use crate::Result;
use crate::contender::{Contender, Kind};
use crate::task::Task;

/// The same for all.
pub(super) const SETTINGS: &str = "acks=all, idempotent, 5 requests in flight, linger 1 ms, no compression; at most 10,000 \
     messages unconfirmed; read_committed, fetch.queue.backoff.ms=1, 16 MiB fetched ahead, offsets stored after handling \
     and committed every 100 ms and at the end";

/// The client library in each of its ways.
pub(super) const RAW: &[Contender] = &[
    Contender {
        name: "naive loop",
        kind: Kind::Naive,
        way: "FutureProducer, each send awaited; StreamConsumer, each message committed",
        publish: Some(|task| Box::pin(async move { Ok(Box::new(naive::Publishing::open(&task)?) as _) })),
        consume: Some(|task| Box::pin(async move { Ok(Box::new(naive::Consuming::open(&task)?) as _) })),
    },
    Contender {
        name: "FutureProducer / StreamConsumer",
        kind: Kind::Raw,
        way: "a future each, 10,000 on their way; a stream, each offset stored",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(future_producer::Publishing::open(&task)?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(stream_consumer::Consuming::open(&task)?) as _) })
        }),
    },
    Contender {
        name: "BaseProducer / BaseConsumer",
        kind: Kind::Raw,
        way: "delivery callback, polled by the thread that sends; polled, offsets stored every 1,000",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(callback_producer::Publishing::open(&task)?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(base_consumer::Consuming::open(&task)?) as _) })
        }),
    },
    Contender {
        name: "ThreadedProducer / C batches",
        kind: Kind::Raw,
        way: "delivery callback on a thread of its own; rd_kafka_consume_batch_queue of 1,000, offsets stored every batch",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(threaded_producer::Publishing::open(&task, false)?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(batch_consumer::Consuming::open(&task, false)?) as _) })
        }),
    },
    Contender {
        name: "ThreadedProducer / C batches, ids",
        kind: Kind::Equal,
        way: "the same, with a header for each message's id, which is looked at",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(threaded_producer::Publishing::open(&task, true)?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(batch_consumer::Consuming::open(&task, true)?) as _) })
        }),
    },
];

/// The most that wait for a confirmation: what anybroker's publisher has by default.
pub(super) const WINDOW: usize = 10_000;

/// librdkafka's settings of every producer.
pub(super) const PRODUCER: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("max.in.flight", "5"),
    ("partitioner", "murmur2_random"),
    ("linger.ms", "1"),
];

/// librdkafka's settings of every consumer, but for who stores and commits offsets.
pub(super) const CONSUMER: &[(&str, &str)] = &[
    ("isolation.level", "read_committed"),
    ("fetch.queue.backoff.ms", "1"),
    ("queued.max.messages.kbytes", "16384"),
];

/// Milliseconds between two commits in the background.
pub(super) const COMMIT_INTERVAL: &str = "100";

/// The broker's addresses, `host:port`.
pub(super) fn addresses(task: &Task) -> Result<Vec<String>> {
    let url: BrokerUrl = task.url.parse()?;
    Ok(url.addresses(9092))
}

fn client(task: &Task) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", addresses(task)?.join(",")).set("client.id", "raw");
    Ok(config)
}

fn producer(task: &Task) -> Result<ClientConfig> {
    let mut config = client(task)?;
    config.extend(PRODUCER.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    config.set("queue.buffering.max.messages", WINDOW.to_string());
    Ok(config)
}

fn consumer(task: &Task) -> Result<ClientConfig> {
    let mut config = client(task)?;
    config.extend(CONSUMER.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    config
        .set("group.id", &task.group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", COMMIT_INTERVAL);
    Ok(config)
}
