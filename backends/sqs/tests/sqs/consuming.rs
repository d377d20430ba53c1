//! Consuming: leases, handing back, closing.

use std::time::{Duration, Instant};

use anybroker_core::{Kind, Settled, Subscription};

use crate::support::{
    clean, connect, consumer, declared, group, native, publish, publisher, receive, silent, texts, url_of,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_for_longer_than_the_visibility_timeout_stays_ours() {
    let broker = connect("wait=1s&visibility=2s").await;
    let topic = declared(&broker, "lease").await;
    publish(&publisher(&broker, &topic).await, &[("a", "a1"), ("a", "a2"), ("b", "b1")]).await;
    let mut holder = consumer(&broker, &topic).await;
    let held = receive(&mut holder, 3).await;
    let mut other = consumer(&broker, &topic).await;
    silent(&mut other, Duration::from_secs(6)).await;
    for delivery in held {
        assert_eq!(delivery.ack().await.unwrap(), Settled::Confirmed);
    }
    silent(&mut other, Duration::from_secs(3)).await;
    holder.close().await.unwrap();
    other.close().await.unwrap();
    clean(&broker, &topic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_somebody_else_took_is_not_acknowledged() {
    let broker = connect("wait=1s&visibility=3s").await;
    let topic = declared(&broker, "taken").await;
    publish(&publisher(&broker, &topic).await, &[("a", "a1"), ("a", "a2")]).await;
    let mut ours = consumer(&broker, &topic).await;
    let mut held = receive(&mut ours, 2).await;
    // The server forgets that we hold them, as when their time is over.
    let url = url_of(&broker, &format!("{topic}.fifo")).await;
    native(&broker).delete_queue().queue_url(&url).send().await.unwrap();
    broker.admin().declare(&anybroker_core::Topology::new(topic.clone()).group(group("g"))).await.unwrap();
    let late = held.pop().unwrap().ack().await.unwrap_err();
    assert_eq!(late.error().kind(), Kind::LeaseExpired, "{late}");
    let also = held.pop().unwrap().ack().await.unwrap_err();
    assert_eq!(also.error().kind(), Kind::LeaseExpired, "{also}: it is of the same group");
    drop((late, also));
    silent(&mut ours, Duration::from_secs(1)).await;
    ours.close().await.unwrap();
    clean(&broker, &topic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_is_quick_and_keeps_nothing_from_others() {
    let broker = connect("wait=20s&visibility=30s").await;
    let topic = declared(&broker, "close").await;
    let publisher = publisher(&broker, &topic).await;
    let mut first = consumer(&broker, &topic).await;
    silent(&mut first, Duration::from_millis(500)).await;
    let started = Instant::now();
    first.close().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "closing took {:?}", started.elapsed());
    // The closed consumer's request for messages still waits at the server, and is the first to be served.
    publish(&publisher, &[("a", "a1"), ("a", "a2")]).await;
    let mut second = consumer(&broker, &topic).await;
    let got = receive(&mut second, 2).await;
    assert_eq!(texts(&got), ["a1", "a2"]);
    assert!(started.elapsed() < Duration::from_secs(10), "they came after {:?}", started.elapsed());
    drop(got);
    second.close().await.unwrap();
    clean(&broker, &topic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_of_one_group_are_handed_back_in_order() {
    let broker = connect("wait=1s").await;
    let topic = declared(&broker, "back").await;
    let publisher = publisher(&broker, &topic).await;
    let texts_of = |key| -> Vec<(&'static str, &'static str)> {
        ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13"].map(|text| (key, text)).into()
    };
    for key in ["a", "b", "c"] {
        publish(&publisher, &texts_of(key)).await;
    }
    for round in 0..3 {
        let mut consumer = consumer(&broker, &topic).await;
        let got = receive(&mut consumer, 20).await;
        for key in ["a", "b", "c"] {
            let of_key: Vec<_> = got.iter().filter(|d| d.key() == Some(key.as_bytes())).collect();
            let numbers: Vec<u32> =
                of_key.iter().map(|d| String::from_utf8_lossy(d.payload()).parse().unwrap()).collect();
            assert!(
                (1..).zip(&numbers).all(|(expected, n)| expected == *n),
                "round {round}: {key} {numbers:?}"
            );
        }
        if round % 2 == 0 {
            consumer.close().await.unwrap()
        } else {
            drop(consumer)
        }
        drop(got);
    }
    clean(&broker, &topic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_prefetch_is_a_bound() {
    let broker = connect("wait=1s").await;
    let topic = declared(&broker, "bound").await;
    let publisher = publisher(&broker, &topic).await;
    let keys: Vec<&'static str> = vec!["a", "b", "c", "d", "e", "f", "g", "h"];
    publish(&publisher, &keys.iter().map(|key| (*key, "x")).collect::<Vec<_>>()).await;
    let subscription = Subscription::new(topic.clone(), group("g")).prefetch(3);
    let mut consumer = broker.consumer(subscription).await.unwrap();
    let held = receive(&mut consumer, 3).await;
    silent(&mut consumer, Duration::from_secs(1)).await;
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    assert_eq!(receive(&mut consumer, 3).await.len(), 3);
    consumer.close().await.unwrap();
    clean(&broker, &topic).await;
}
