//! What is committed is published, and nothing else.

use std::time::{Duration, SystemTime};

use anybroker_core::{ConsumerExt, Group, Message, Start, Subscription};

use crate::support::{Arrivals, Database, LONG, broker, numbered, on_both, outbox, relay, topic, until};

on_both!(
    what_is_committed_is_published_whole,
    nothing_is_published_that_was_rolled_back,
    a_batch_keeps_its_order,
    the_table_is_empty_afterwards
);

pub(crate) async fn what_is_committed_is_published_whole<D: Database>(database: D) {
    let broker = broker("").await;
    let relay = relay(&database, &broker).await;
    let mut message = Message::new(&b"\x00\xff"[..])
        .with_key(&b"\xfe"[..])
        .with_type("order.placed")
        .with_source("shop")
        .with_content_type("application/octet-stream")
        .with_time(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123))
        .with_header("text", "a")
        .with_header("binary", &b"\xff"[..])
        .with_extension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    message.schema_version = Some(3);
    let mut transaction = database.transaction().await;
    outbox(&database).stage(D::connection(&mut transaction), message.clone()).await.unwrap();
    D::commit(transaction).await;
    let subscription = Subscription::new(topic(), Group::new("g").unwrap()).start(Start::Earliest);
    let mut consumer = broker.consumer(subscription).await.unwrap();
    let delivery = tokio::time::timeout(LONG, consumer.next()).await.unwrap().unwrap();
    assert_eq!(delivery.record().to_message(), message);
    relay.stop().await;
}

pub(crate) async fn nothing_is_published_that_was_rolled_back<D: Database>(database: D) {
    let broker = broker("").await;
    let relay = relay(&database, &broker).await;
    for (number, kept) in [(0, false), (0, true), (7, false), (1, true)] {
        let mut transaction = database.transaction().await;
        outbox(&database).stage(D::connection(&mut transaction), numbered("k", number)).await.unwrap();
        if kept {
            D::commit(transaction).await;
        } else {
            D::rollback(transaction).await;
        }
    }
    let mut arrivals = Arrivals::of(&broker).await;
    assert_eq!(arrivals.payloads(2).await, ["0", "1"]);
    relay.stop().await;
    assert_eq!(database.count("select count(*) from {outbox}").await, 0);
}

pub(crate) async fn a_batch_keeps_its_order<D: Database>(database: D) {
    let broker = broker("").await;
    let messages = (0..500).flat_map(|number| (0..10).map(move |key| numbered(&format!("k{key}"), number)));
    let mut transaction = database.transaction().await;
    outbox(&database).stage_all(D::connection(&mut transaction), messages).await.unwrap();
    D::commit(transaction).await;
    let relay = relay(&database, &broker).await;
    let again = Arrivals::of(&broker).await.in_order(10, 500).await;
    assert_eq!(again, 0);
    relay.stop().await;
}

pub(crate) async fn the_table_is_empty_afterwards<D: Database>(database: D) {
    let broker = broker("").await;
    let mut transaction = database.transaction().await;
    let messages = (0..100).map(|number| Message::new(number.to_string()));
    outbox(&database).stage_all(D::connection(&mut transaction), messages).await.unwrap();
    D::commit(transaction).await;
    let before = database.status().await.unwrap();
    assert_eq!((before.backlog, before.quarantined), (100, 0));
    assert!(before.oldest.unwrap().elapsed().unwrap() < LONG);
    let relay = relay(&database, &broker).await;
    until(|| async { database.status().await.unwrap().backlog == 0 }).await;
    assert_eq!(relay.progress.published(), 100);
    assert_eq!(database.status().await.unwrap().oldest, None);
    relay.stop().await;
}
