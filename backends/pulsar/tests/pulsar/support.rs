//! The server, unique names, and short forms of what every test does.

use std::time::Duration;

use anybroker_core::{
    Broker, BrokerUrl, Consumer, Delivery, Group, Message, MessageId, PublisherExt, PublisherOptions,
    SharedPublisher, Subscription, Topic, Topology,
};

/// How long anything may take before the test says so instead of hanging.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The server to test on.
pub(crate) fn server() -> String {
    std::env::var("ANYBROKER_PULSAR_URL")
        .unwrap_or_else(|_| "pulsar://127.0.0.1:6650/public/default".to_owned())
}

/// Its URL with more parameters.
pub(crate) fn url(parameters: &str) -> String {
    let server = server();
    let joint = if server.contains('?') { '&' } else { '?' };
    format!("{server}{joint}{parameters}")
}

pub(crate) async fn connect(parameters: &str) -> Broker {
    let parsed: BrokerUrl = url(parameters).parse().unwrap();
    match anybroker_pulsar::connect(&parsed).await {
        Ok(broker) => broker,
        Err(error) => panic!(
            "no Pulsar answers at {parsed}: {error}\n\
             start one (anybroker brokers up pulsar), or set ANYBROKER_PULSAR_URL"
        ),
    }
}

pub(crate) fn unique(name: &str) -> Topic {
    Topic::new(format!("test.{name}-{}", MessageId::new())).unwrap()
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

/// Publishes texts of one key, all confirmed.
pub(crate) async fn publish(publisher: &SharedPublisher, texts: impl IntoIterator<Item = String>) {
    let messages = texts.into_iter().map(|text| Message::new(text).with_key("k")).collect();
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

pub(crate) fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| String::from_utf8_lossy(delivery.payload()).into_owned()).collect()
}
