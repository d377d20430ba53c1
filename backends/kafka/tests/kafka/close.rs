use std::time::{Duration, Instant};

use anybroker_core::{Kind, Message, PublisherExt, Settled};

use crate::support::*;

#[tokio::test]
async fn closing_hands_back_in_order_and_at_once() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    let group = group();
    publish(&broker, &topic, "k", 0..5).await;
    let mut first = consumer(&broker, &topic, &group).await;
    ack(next(&mut first).await).await;
    let unsettled = next(&mut first).await;
    first.close().await.unwrap();
    let error = unsettled.ack().await.unwrap_err();
    assert!(matches!(error.error().kind(), Kind::Closed | Kind::Fenced), "{error}");

    let closed = Instant::now();
    let mut second = consumer(&broker, &topic, &group).await;
    for n in 1..5 {
        assert_eq!(ack(next(&mut second).await).await, n);
    }
    assert!(closed.elapsed() < Duration::from_secs(8), "the group waited {:?}", closed.elapsed());
    second.close().await.unwrap();
}

#[tokio::test]
async fn dropping_without_closing_loses_nothing() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    let group = group();
    publish(&broker, &topic, "k", 0..5).await;
    let mut first = consumer(&broker, &topic, &group).await;
    assert_eq!(ack(next(&mut first).await).await, 0);
    let held = next(&mut first).await;
    drop(first);
    drop(held);
    let mut second = consumer(&broker, &topic, &group).await;
    let mut numbers = Vec::new();
    while numbers.last() != Some(&4) {
        numbers.push(ack(next(&mut second).await).await);
    }
    assert!(numbers == [1, 2, 3, 4] || numbers == [0, 1, 2, 3, 4], "{numbers:?}");
    second.close().await.unwrap();
}

#[tokio::test]
async fn flushing_confirms_what_was_recorded() {
    let broker = connect("commit_interval=1h").await;
    let topic = topic(&broker, 1).await;
    let group = group();
    publish(&broker, &topic, "k", 0..4).await;
    let mut consumer = consumer(&broker, &topic, &group).await;
    let settler = consumer.settler();
    let (zero, one, two) = (next(&mut consumer).await, next(&mut consumer).await, next(&mut consumer).await);
    assert_eq!(zero.ack().await.unwrap(), Settled::Recorded);
    two.ack().await.unwrap();
    assert_eq!(broker.admin().backlog(&topic, &group).await.unwrap(), 4);
    assert_eq!(settler.flush().await.unwrap().messages, 1);
    assert_eq!(broker.admin().backlog(&topic, &group).await.unwrap(), 3);
    one.ack().await.unwrap();
    assert_eq!(settler.flush().await.unwrap().messages, 0);
    assert_eq!(broker.admin().backlog(&topic, &group).await.unwrap(), 1);
    consumer.close().await.unwrap();
}

#[tokio::test]
async fn closed_handles_say_so() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    let publisher = publisher(&broker, &topic).await;
    let mut consumer = consumer(&broker, &topic, &group()).await;
    publisher.publish(Message::new("0")).await.unwrap();
    ack(next(&mut consumer).await).await;
    broker.close().await.unwrap();
    assert_eq!(publisher.publish(Message::new("x")).await.unwrap_err().error().kind(), Kind::Closed);
    assert_eq!(consumer.receive(1).await.unwrap_err().kind(), Kind::Closed);
    assert_eq!(broker.guarantees(Some(&topic), None).await.unwrap_err().kind(), Kind::Closed);
    publisher.close().await.unwrap();
}
