//! What all tests share.

use std::time::Duration;

use anybroker_core::{
    Broker, Consumer, ConsumerExt, Delivery, Group, Message, MessageId, Publisher, PublisherExt,
    PublisherOptions, Subscription, Topic, Topology,
};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The broker's address without parameters.
pub(crate) fn address() -> String {
    std::env::var("ANYBROKER_KAFKA_URL").unwrap_or_else(|_| "kafka://127.0.0.1:9092".to_owned())
}

/// Connects with these URL parameters.
pub(crate) async fn connect(parameters: &str) -> Broker {
    let url = format!("{}?{parameters}", address()).parse().unwrap();
    match anybroker_kafka::connect(&url).await {
        Ok(broker) => broker,
        Err(error) => panic!("these tests need a Kafka broker (ANYBROKER_KAFKA_URL): {error}"),
    }
}

/// A name that nobody else uses.
pub(crate) fn unique(what: &str) -> String {
    format!("kafka-test-{what}-{}", MessageId::new())
}

/// A topic of its own for one test.
pub(crate) async fn topic(broker: &Broker, partitions: u32) -> Topic {
    let topic = Topic::new(unique("topic")).unwrap();
    broker.admin().declare(&Topology::new(topic.clone()).partitions(partitions)).await.unwrap();
    topic
}

/// A group of its own.
pub(crate) fn group() -> Group {
    Group::new(unique("group")).unwrap()
}

/// A consumer with the defaults.
pub(crate) async fn consumer(broker: &Broker, topic: &Topic, group: &Group) -> Box<dyn Consumer> {
    broker.consumer(Subscription::new(topic.clone(), group.clone())).await.unwrap()
}

/// A publisher with the defaults.
pub(crate) async fn publisher(broker: &Broker, topic: &Topic) -> std::sync::Arc<dyn Publisher> {
    broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap()
}

/// Publishes these payloads with one key.
pub(crate) async fn publish(
    broker: &Broker,
    topic: &Topic,
    key: &str,
    payloads: impl IntoIterator<Item = u32>,
) {
    let publisher = publisher(broker, topic).await;
    let batch = payloads.into_iter().map(|n| Message::new(n.to_string()).with_key(key)).collect();
    for outcome in publisher.publish_batch(batch).await {
        outcome.unwrap();
    }
    publisher.close().await.unwrap();
}

/// The next delivery, soon.
pub(crate) async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    tokio::time::timeout(PATIENCE, consumer.next()).await.expect("a message should have come").unwrap()
}

/// The next delivery if one comes within a second.
pub(crate) async fn next_if_any(consumer: &mut Box<dyn Consumer>) -> Option<Delivery> {
    tokio::time::timeout(Duration::from_secs(1), consumer.next()).await.ok().map(Result::unwrap)
}

/// A delivery's payload as the number that it is.
pub(crate) fn number(delivery: &Delivery) -> u32 {
    std::str::from_utf8(delivery.payload()).unwrap().parse().unwrap()
}

/// Acknowledges, and says which number it was.
pub(crate) async fn ack(delivery: Delivery) -> u32 {
    let number = number(&delivery);
    delivery.ack().await.unwrap();
    number
}
