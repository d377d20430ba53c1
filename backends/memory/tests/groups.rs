//! Groups of the in-memory broker: fair service, hand-over, closing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anybroker_core::{
    Broker, Consumer, ConsumerExt, Group, Kind, Message, PublisherExt, PublisherOptions, Settled, Settlement,
    Subscription, Topic, Topology,
};

async fn open(url: &str) -> (Broker, Topic, Group) {
    let broker = anybroker_memory::connect(&url.parse().unwrap()).await.unwrap();
    let (topic, group) = (Topic::new("t").unwrap(), Group::new("g").unwrap());
    broker.admin().declare(&Topology::new(topic.clone()).group(group.clone())).await.unwrap();
    (broker, topic, group)
}

async fn publish(broker: &Broker, topic: &Topic, count: usize) {
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    let messages =
        (0..count).map(|n| Message::new("x").with_id(format!("m{n}")).with_key(format!("{}", n % 40)));
    assert!(publisher.publish_batch(messages.collect()).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn partitions_are_served_fairly() {
    let (broker, topic, group) = open("memory://fair?partitions=8").await;
    publish(&broker, &topic, 800).await;
    let mut consumer = broker.consumer(Subscription::new(topic, group).prefetch(10)).await.unwrap();
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let delivery = consumer.next().await.unwrap();
        seen.insert(delivery.position().unwrap().partition);
        delivery.ack().await.unwrap();
    }
    assert!(seen.len() >= 6, "of 8 partitions with 100 messages each, the first 100 came from {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn one_busy_partition_gets_the_room_that_the_others_leave() {
    let (broker, topic, group) = open("memory://busy?partitions=8").await;
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    let messages = (0..20).map(|n| Message::new(format!("{n}")).with_key("one"));
    assert!(publisher.publish_batch(messages.collect()).await.iter().all(Result::is_ok));
    let mut consumer = broker.consumer(Subscription::new(topic, group).prefetch(8)).await.unwrap();
    let mut held = Vec::new();
    while held.len() < 8 {
        let received = tokio::time::timeout(Duration::from_secs(1), consumer.receive(20)).await;
        held.extend(received.expect("there is room, and there are messages").unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_taker_leaves_again_keeps_its_deliveries() {
    let (broker, topic, group) = open("memory://back?partitions=2").await;
    publish(&broker, &topic, 20).await;
    let mut staying = broker.consumer(Subscription::new(topic.clone(), group.clone())).await.unwrap();
    let mut held = Vec::new();
    while held.len() < 20 {
        held.extend(staying.receive(20).await.unwrap());
    }
    let passing = broker.consumer(Subscription::new(topic, group)).await.unwrap();
    tokio::time::advance(Duration::from_millis(20)).await;
    passing.close().await.unwrap();
    tokio::time::advance(Duration::from_millis(20)).await;
    for delivery in held {
        assert_eq!(delivery.ack().await.unwrap(), Settled::Confirmed);
    }
}

#[tokio::test]
async fn closing_the_broker_closes_what_it_opened() {
    let (broker, topic, group) = open("memory://closing").await;
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    let mut consumer = broker.consumer(Subscription::new(topic, group)).await.unwrap();
    broker.close().await.unwrap();
    assert_eq!(publisher.publish(Message::new("x")).await.unwrap_err().error().kind(), Kind::Closed);
    assert_eq!(consumer.receive(1).await.unwrap_err().kind(), Kind::Closed);
}

/// What is acknowledged, confirmed, before a member leaves in order does not come again, and no confirmation fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_that_come_and_go_in_order_cause_no_duplicates() {
    let (broker, topic, group) = open("memory://churn?partitions=8").await;
    let confirmed = Arc::new(Mutex::new(HashSet::new()));
    let publishing = tokio::spawn({
        let (broker, topic) = (broker.clone(), topic.clone());
        async move {
            let publisher = broker.publisher(PublisherOptions::new(topic)).await.unwrap();
            for n in 0..20_000 {
                let message = Message::new("x").with_id(format!("m{n}")).with_key(format!("{}", n % 37));
                publisher.publish(message).await.unwrap();
            }
        }
    });
    let members = (0..4).map(|_| {
        let (broker, confirmed) = (broker.clone(), confirmed.clone());
        let subscription = Subscription::new(topic.clone(), group.clone()).prefetch(50);
        tokio::spawn(async move {
            while confirmed.lock().unwrap().len() < 20_000 {
                let mut consumer = broker.consumer(subscription.clone()).await.unwrap();
                come_and_go(&mut consumer, &confirmed).await;
                consumer.close().await.unwrap();
            }
        })
    });
    for member in members.collect::<Vec<_>>() {
        member.await.unwrap();
    }
    publishing.await.unwrap();
}

async fn come_and_go(consumer: &mut Box<dyn Consumer>, confirmed: &Mutex<HashSet<String>>) {
    let settler = consumer.settler();
    for _ in 0..30 {
        let Ok(batch) = tokio::time::timeout(Duration::from_millis(5), consumer.receive(20)).await else {
            continue;
        };
        let batch = batch.unwrap();
        let ids: Vec<_> = batch.iter().map(|delivery| delivery.id().unwrap().to_string()).collect();
        let results = settler.settle(batch.into_iter().map(Settlement::ack).collect()).await;
        for (id, result) in ids.into_iter().zip(results) {
            assert_eq!(result.unwrap(), Settled::Confirmed);
            assert!(confirmed.lock().unwrap().insert(id), "it came again after it was confirmed");
        }
    }
}
