//! The server, unique names, and short forms of what every test does.

use std::net::SocketAddr;
use std::time::Duration;

use anybroker_core::{
    Broker, BrokerUrl, Consumer, Delivery, Group, Message, PublisherExt, PublisherOptions, SharedPublisher,
    Subscription, Topic, Topology,
};
use anybroker_sqs::aws_sdk_sqs::Client;

/// How long anything may take before the test says so instead of hanging.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

fn url() -> String {
    let url = std::env::var("ANYBROKER_ELASTICMQ_URL");
    url.unwrap_or_else(|_| "sqs://us-east-1?endpoint=http://127.0.0.1:9324".to_owned())
}

/// Where the server listens.
pub(crate) fn server() -> SocketAddr {
    let url = url();
    url.split_once("endpoint=http://").unwrap().1.split('&').next().unwrap().parse().unwrap()
}

pub(crate) async fn connect(parameters: &str) -> Broker {
    let url: BrokerUrl = format!("{}&{parameters}", url()).parse().unwrap();
    match anybroker_sqs::connect(&url).await {
        Ok(broker) => broker,
        Err(error) => panic!(
            "no SQS answers at {url}: {error}\nstart one (anybroker brokers up elasticmq), or set ANYBROKER_ELASTICMQ_URL"
        ),
    }
}

/// Amazon's client, as another program would use it.
pub(crate) fn native(broker: &Broker) -> &Client {
    broker.native().and_then(|native| native.downcast_ref()).unwrap()
}

pub(crate) async fn url_of(broker: &Broker, queue: &str) -> String {
    native(broker).get_queue_url().queue_name(queue).send().await.unwrap().queue_url.unwrap()
}

pub(crate) fn unique(name: &str) -> Topic {
    let random = &uuid::Uuid::now_v7().simple().to_string()[16..];
    Topic::new(format!("test-{name}-{random}")).unwrap()
}

pub(crate) fn group(name: &str) -> Group {
    Group::new(name).unwrap()
}

/// A topic with one group `g`, declared.
pub(crate) async fn declared(broker: &Broker, name: &str) -> Topic {
    let topic = unique(name);
    broker.admin().declare(&Topology::new(topic.clone()).group(group("g"))).await.unwrap();
    topic
}

pub(crate) async fn publisher(broker: &Broker, topic: &Topic) -> SharedPublisher {
    broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap()
}

pub(crate) async fn consumer(broker: &Broker, topic: &Topic) -> Box<dyn Consumer> {
    consumer_of(broker, topic, "g").await
}

pub(crate) async fn consumer_of(broker: &Broker, topic: &Topic, name: &str) -> Box<dyn Consumer> {
    broker.consumer(Subscription::new(topic.clone(), group(name))).await.unwrap()
}

/// Publishes texts of one key each in order, all confirmed.
pub(crate) async fn publish(publisher: &SharedPublisher, messages: &[(&'static str, &'static str)]) {
    let messages = messages.iter().map(|(key, text)| Message::new(*text).with_key(*key)).collect();
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

/// Nothing comes for this long.
pub(crate) async fn silent(consumer: &mut Box<dyn Consumer>, time: Duration) {
    let received = tokio::time::timeout(time, consumer.receive(10)).await;
    assert!(received.is_err(), "there came {received:?}");
}

pub(crate) fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| String::from_utf8_lossy(delivery.payload()).into_owned()).collect()
}

/// Deletes the topic; a test that failed leaves it behind.
pub(crate) async fn clean(broker: &Broker, topic: &Topic) {
    broker.admin().delete(topic).await.unwrap();
    broker.close().await.unwrap();
}
