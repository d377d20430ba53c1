use std::collections::BTreeMap;
use std::time::Duration;

use anybroker_core::{ConsumerExt, Message, PublisherExt, Start, Subscription};

use crate::support::*;

#[tokio::test]
async fn order_per_key_is_kept_through_negative_acknowledgements() {
    let broker = connect("").await;
    let topic = topic(&broker, 3).await;
    let publisher = publisher(&broker, &topic).await;
    let batch = (0..300).map(|n| Message::new(n.to_string()).with_key(format!("key-{}", n % 7))).collect();
    publisher.publish_batch(batch).await.into_iter().for_each(|outcome| {
        outcome.unwrap();
    });

    let mut consumer = consumer(&broker, &topic, &group()).await;
    let mut done: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut redelivered = 0;
    while done.values().map(Vec::len).sum::<usize>() < 300 {
        let delivery = next(&mut consumer).await;
        let n = number(&delivery);
        if n % 10 == 3 && delivery.attempt() == 1 {
            delivery.nack(Duration::from_millis(20)).await.unwrap();
            continue;
        }
        redelivered += u32::from(delivery.redelivered());
        assert_eq!(delivery.attempt() > 1, n % 10 == 3);
        delivery.ack().await.unwrap();
        done.entry(n % 7).or_default().push(n);
    }
    assert_eq!(redelivered, 30);
    assert!(done.values().all(|numbers| numbers.is_sorted()), "{done:?}");
    consumer.close().await.unwrap();
}

#[tokio::test]
async fn two_members_share_and_nothing_is_lost_or_repeated_when_one_joins_and_one_leaves() {
    let broker = connect("").await;
    let topic = topic(&broker, 4).await;
    let group = group();
    let mut first = consumer(&broker, &topic, &group).await;
    let publisher = publisher(&broker, &topic).await;
    let send = |range: std::ops::Range<u32>| {
        let batch = range.map(|n| Message::new(n.to_string()).with_key(format!("key-{}", n % 20))).collect();
        publisher.publish_batch(batch)
    };
    let mut seen = BTreeMap::new();
    let mut take = |n: u32| *seen.entry(n).or_insert(0) += 1;

    send(0..200).await;
    for _ in 0..50 {
        take(ack(next(&mut first).await).await);
    }
    let mut second = consumer(&broker, &topic, &group).await;
    let mut of_second = 0;
    // The first goes on while the second joins; then more is published for both.
    while of_second == 0 {
        send(0..1).await;
        tokio::select! {
            one = first.next() => { ack(one.unwrap()).await; }
            two = second.next() => { ack(two.unwrap()).await; of_second += 1; }
        }
    }
    send(200..400).await;
    let settle = tokio::time::Instant::now() + Duration::from_secs(3);
    loop {
        tokio::select! {
            one = first.next() => take(ack(one.unwrap()).await),
            two = second.next() => { of_second += 1; take(ack(two.unwrap()).await) }
            () = tokio::time::sleep_until(settle) => break,
        }
    }
    assert!(of_second > 20, "the second member got only {of_second}");
    second.close().await.unwrap();
    send(400..600).await;
    while (200..600).any(|n| !seen.contains_key(&n)) {
        *seen.entry(ack(next(&mut first).await).await).or_insert(0) += 1;
    }
    let repeated: Vec<_> = (200..600).filter(|n| seen[n] != 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
    first.close().await.unwrap();
}

#[tokio::test]
async fn a_partition_that_moves_is_drained_and_committed_first() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    let group = group();
    publish(&broker, &topic, "k", 0..10).await;
    let mut first = consumer(&broker, &topic, &group).await;
    let held = [next(&mut first).await, next(&mut first).await, next(&mut first).await];
    // With one partition, only one of two members has it; closing the first moves it for certain. Its deliveries
    // are settled while it closes: two are done, one goes back.
    let [zero, one, two] = held;
    ack(zero).await;
    ack(one).await;
    first.close().await.unwrap();
    assert!(two.ack().await.is_err());
    let mut second = consumer(&broker, &topic, &group).await;
    let again = next(&mut second).await;
    assert_eq!((number(&again), again.attempt(), again.redelivered()), (2, 2, true));
    ack(again).await;
    assert_eq!(number(&next(&mut second).await), 3);
    second.close().await.unwrap();
}

#[tokio::test]
async fn revoking_waits_for_what_is_in_hand() {
    let broker = connect("").await;
    let topic = topic(&broker, 2).await;
    let group = group();
    let mut first = consumer(&broker, &topic, &group).await;
    for key in ["a", "b", "c", "d"] {
        publish(&broker, &topic, key, 0..1).await;
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(next(&mut first).await);
    }
    assert_eq!(
        held.iter().map(|d| d.position().unwrap().partition).collect::<std::collections::BTreeSet<_>>().len(),
        2
    );
    let mut second = consumer(&broker, &topic, &group).await;
    // The second member joins while the first holds all four, and gets nothing of them.
    let early = tokio::time::timeout(Duration::from_secs(2), second.next()).await;
    assert!(early.is_err(), "{early:?}");
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    assert!(next_if_any(&mut second).await.is_none());
    first.close().await.unwrap();
    second.close().await.unwrap();
    let mut third = consumer(&broker, &topic, &group).await;
    assert!(next_if_any(&mut third).await.is_none());
    third.close().await.unwrap();
}

#[tokio::test]
async fn starting_points() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    let group = group();
    publish(&broker, &topic, "k", 0..3).await;
    let subscription = Subscription::new(topic.clone(), group.clone());

    let mut latest = broker.consumer(subscription.clone().start(Start::Latest)).await.unwrap();
    publish(&broker, &topic, "k", 3..5).await;
    assert_eq!(ack(next(&mut latest).await).await, 3);
    latest.close().await.unwrap();

    let mut resume = broker.consumer(subscription.clone()).await.unwrap();
    assert_eq!(ack(next(&mut resume).await).await, 4);
    resume.close().await.unwrap();

    let mut earliest = broker.consumer(subscription.start(Start::Earliest)).await.unwrap();
    assert_eq!(ack(next(&mut earliest).await).await, 0);
    earliest.close().await.unwrap();
}

#[tokio::test]
async fn a_small_prefetch_bounds_what_is_held_and_nothing_stalls() {
    let broker = connect("").await;
    let topic = topic(&broker, 3).await;
    for key in ["a", "b", "c", "d", "e"] {
        publish(&broker, &topic, key, 0..40).await;
    }
    let subscription = Subscription::new(topic.clone(), group()).prefetch(4);
    let mut consumer = broker.consumer(subscription).await.unwrap();
    let mut count = 0;
    while count < 200 {
        let batch = consumer.receive(100).await.unwrap();
        assert!(batch.len() <= 4);
        for delivery in batch {
            ack(delivery).await;
            count += 1;
        }
    }
    consumer.close().await.unwrap();
}

#[tokio::test]
async fn members_that_the_broker_shares_out_among_hand_over_as_well() {
    let broker = connect("group_protocol=consumer").await;
    let topic = topic(&broker, 2).await;
    let group = group();
    for key in ["a", "b", "c", "d"] {
        publish(&broker, &topic, key, 0..10).await;
    }
    let mut first = consumer(&broker, &topic, &group).await;
    let mut count = 0;
    while count < 20 {
        ack(next(&mut first).await).await;
        count += 1;
    }
    let mut second = consumer(&broker, &topic, &group).await;
    first.close().await.unwrap();
    while count < 40 {
        ack(next(&mut second).await).await;
        count += 1;
    }
    assert!(next_if_any(&mut second).await.is_none());
    second.close().await.unwrap();
}
