//! Core NATS: what a slow application loses is said.

use std::time::Duration;

use anybroker_core::{Kind, Message, PublisherExt};

use crate::support::{open, publisher, receive, server, subscription, texts, unique};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dropped_is_told_once_and_then_it_goes_on() {
    let url = server().replace("nats://", "nats+core://");
    let slow = open(&format!("{url}?buffer=10")).await;
    let fast = open(&url).await;
    let topic = unique("slow");
    let mut consumer = slow.consumer(subscription(&topic).prefetch(5)).await.unwrap();
    let publisher = publisher(&fast, &topic).await;
    let many = (0..2_000).map(|n| Message::new(n.to_string())).collect();
    for outcome in publisher.publish_batch(many).await {
        outcome.unwrap();
    }
    let error = loop {
        match tokio::time::timeout(Duration::from_secs(20), consumer.receive(1)).await.unwrap() {
            Ok(batch) => {
                for delivery in batch {
                    delivery.ack().await.unwrap();
                }
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), Kind::Throttled);
    assert!(error.to_string().contains("dropped"), "{error}");
    // What is buffered comes; further drops may be told meanwhile.
    let mut left = 0;
    while let Ok(received) = tokio::time::timeout(Duration::from_millis(500), consumer.receive(10)).await {
        for delivery in received.into_iter().flatten() {
            delivery.ack().await.unwrap();
            left += 1;
        }
    }
    assert!(left < 2_000);
    publisher.publish(Message::new("after")).await.unwrap();
    assert_eq!(texts(&receive(&mut consumer, 1).await), ["after"]);
    consumer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_is_received_while_another_is_given_back_again_and_again() {
    let broker = open(&server().replace("nats://", "nats+core://")).await;
    let topic = unique("again");
    let mut consumer = broker.consumer(subscription(&topic)).await.unwrap();
    let publisher = publisher(&broker, &topic).await;
    publisher.publish(Message::new("bad").with_key("bad")).await.unwrap();
    let bad = receive(&mut consumer, 1).await.remove(0);
    bad.nack(Duration::ZERO).await.unwrap();
    let others = (0..50).map(|n| Message::new(n.to_string()).with_key("good")).collect();
    for outcome in publisher.publish_batch(others).await {
        outcome.unwrap();
    }
    let mut left = 50;
    for _ in 0..200 {
        for delivery in consumer.receive(100).await.unwrap() {
            if delivery.payload() == "bad" {
                delivery.nack(Duration::ZERO).await.unwrap();
            } else {
                delivery.ack().await.unwrap();
                left -= 1;
            }
        }
    }
    assert_eq!(left, 0);
    consumer.close().await.unwrap();
}
