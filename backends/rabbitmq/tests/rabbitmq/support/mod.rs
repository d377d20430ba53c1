//! Servers, unique names, and short forms of what every test does.

use std::time::Duration;

use anybroker_core::{
    Broker, BrokerUrl, Consumer, Delivery, Group, Message, PublisherExt, PublisherOptions, SharedPublisher,
    Subscription, Topic, Topology,
};

/// How long anything may take before the test says so instead of hanging.
pub(crate) const LIMIT: Duration = Duration::from_secs(150);

/// The servers to test on: URLs without a path or parameters.
pub(crate) fn servers() -> [String; 2] {
    let url = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    [
        url("ANYBROKER_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672"),
        url("ANYBROKER_RABBITMQ4_URL", "amqp://guest:guest@127.0.0.1:5673"),
    ]
}

pub(crate) async fn connect(url: &str) -> Broker {
    let parsed: BrokerUrl = url.parse().unwrap();
    match anybroker_rabbitmq::connect(&parsed).await {
        Ok(broker) => broker,
        Err(error) => panic!(
            "no RabbitMQ answers at {parsed}: {error}\n\
             start one (anybroker brokers up rabbitmq rabbitmq4), or set ANYBROKER_RABBITMQ_URL and \
             ANYBROKER_RABBITMQ4_URL"
        ),
    }
}

/// Runs a test on every server, bounded.
pub(crate) async fn on_servers(parameters: &str, test: impl AsyncFn(Broker, String)) {
    for server in servers() {
        let url = format!("{server}/{parameters}");
        let broker = connect(&url).await;
        let done = tokio::time::timeout(LIMIT, test(broker.clone(), url.clone())).await;
        assert!(done.is_ok(), "no end within {LIMIT:?} on {server}");
        let _ = tokio::time::timeout(LIMIT, broker.close()).await;
    }
}

pub(crate) fn unique(name: &str) -> Topic {
    Topic::new(format!("test-{name}-{}", uuid::Uuid::now_v7().simple())).unwrap()
}

pub(crate) fn group(name: &str) -> Group {
    Group::new(name).unwrap()
}

/// A topic with one group `g`, declared.
pub(crate) async fn declared(broker: &Broker, name: &str, partitions: Option<u32>) -> Topic {
    let topic = unique(name);
    let mut topology = Topology::new(topic.clone()).group(group("g"));
    topology.partitions = partitions;
    broker.admin().declare(&topology).await.unwrap();
    topic
}

pub(crate) async fn publisher(broker: &Broker, topic: &Topic) -> SharedPublisher {
    broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap()
}

pub(crate) fn subscription(topic: &Topic) -> Subscription {
    Subscription::new(topic.clone(), group("g"))
}

pub(crate) async fn consumer(broker: &Broker, topic: &Topic) -> Box<dyn Consumer> {
    broker.consumer(subscription(topic)).await.unwrap()
}

/// Publishes texts of one key each in order, all confirmed.
pub(crate) async fn publish(
    publisher: &SharedPublisher,
    messages: impl IntoIterator<Item = (String, String)>,
) {
    let messages = messages.into_iter().map(|(key, text)| Message::new(text).with_key(key)).collect();
    for outcome in publisher.publish_batch(messages).await {
        outcome.unwrap();
    }
}

/// Receives until there are `count`.
pub(crate) async fn receive(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        let more = tokio::time::timeout(LIMIT, consumer.receive(count - all.len())).await;
        all.extend(more.expect("no delivery").unwrap());
    }
    all
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.payload()).into_owned()
}

pub(crate) fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(text).collect()
}

/// Deletes the topic; a test that failed leaves it behind.
pub(crate) async fn clean(broker: &Broker, topic: &Topic) {
    broker.admin().delete(topic).await.unwrap();
}
