//! Brokers that cannot keep it, and messages that are no requests.

use anybroker_core::{
    ConsumerExt as _, Group, Kind, Message, PublisherExt as _, PublisherOptions, Subscription, Topology,
};
use anybroker_patterns::request_reply::{Requester, RequesterOptions, Responder};

use super::{LONG, Service, dead, memory, price, requester, topic};

#[tokio::test]
async fn a_broker_that_loses_messages_is_refused_with_the_table() {
    let url = "memory://replies-like-core?like=nats-core".parse().unwrap();
    let broker = anybroker_memory::connect(&url).await.unwrap();
    let error = Requester::open(&broker, topic(), RequesterOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unmet);
    let text = error.to_string();
    assert!(
        text.contains("delivery") && text.contains("at-least-once") && text.contains("at-most-once"),
        "{text}"
    );
}

#[tokio::test]
async fn brokers_that_keep_messages_are_not() {
    for like in ["kafka", "rabbitmq", "jetstream", "sqs-fifo", "pulsar"] {
        let url = format!("memory://replies-like-{like}?like={like}").parse().unwrap();
        let broker = anybroker_memory::connect(&url).await.unwrap();
        // Some refuse what is published before a group exists.
        let pricing = Topology::new(topic()).group(Group::new("pricing").unwrap());
        broker.admin().declare(&pricing).await.unwrap();
        let service = Service::start(&broker, Responder::new(broker.clone(), price));
        let requester = requester(&broker).await;
        let reply = requester.request(Message::new("kiwi"), LONG).await.unwrap();
        assert_eq!(reply.payload(), "price of kiwi", "{like}");
        requester.close().await.unwrap();
        service.end().await;
    }
}

#[tokio::test]
async fn what_is_no_request_is_a_dead_letter() {
    let broker = memory().await;
    let service = Service::start(&broker, Responder::new(broker.clone(), price));
    let publisher = broker.publisher(PublisherOptions::new(topic())).await.unwrap();
    publisher.publish(Message::new("kiwi").with_id("m-1")).await.unwrap();
    let people = Subscription::new(dead(), Group::new("people").unwrap());
    let mut letters = broker.consumer(people).await.unwrap();
    let letter = letters.next().await.unwrap();
    let text = format!("{:?}", letter.to_message());
    assert!(text.contains("no attribute `replyto`"), "{text}");
    service.end().await;
}
