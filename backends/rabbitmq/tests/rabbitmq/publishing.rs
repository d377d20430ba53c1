use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use anybroker_core::{ConsumerExt, Fate, Kind, Message, OnFailure, PublisherExt, PublisherOptions, Topology};

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_a_message_comes_back() {
    on_servers("", async |broker, _| {
        let topic = declared(&broker, "round", None).await;
        let mut message =
            Message::new(&b"\x00\xff\xfe"[..]).with_key(&b"\xff\x00key"[..]).with_type("order.placed");
        for (name, value) in
            [("z", &b"1"[..]), ("a", b"\xff\x00"), ("z", b"3"), ("CC", b"x"), ("x-death", b"y")]
        {
            message.headers.append(name, value);
        }
        message.headers.append("überschrift", "☃");
        message.content_type = Some("application/json".into());
        message.source = Some("/shop".into());
        message.schema_version = Some(7);
        message.time = Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
        let plain = Message::new("").with_id("plain");
        let publisher = publisher(&broker, &topic).await;
        let mut consumer = consumer(&broker, &topic).await;
        for message in [message, plain] {
            publisher.publish(message.clone()).await.unwrap();
            let delivery = consumer.next().await.unwrap();
            assert_eq!(delivery.to_message(), message);
            assert_eq!((delivery.attempt(), delivery.redelivered()), (1, false));
            delivery.ack().await.unwrap();
        }
        consumer.close().await.unwrap();
        clean(&broker, &topic).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_group_would_keep_is_refused() {
    on_servers("", async |broker, _| {
        let topic = unique("nobody");
        broker.admin().declare(&Topology::new(topic.clone())).await.unwrap();
        let publisher = publisher(&broker, &topic).await;
        let batch = (0..50).map(|n| Message::new(format!("{n}"))).collect();
        for outcome in publisher.publish_batch(batch).await {
            let error = outcome.unwrap_err();
            assert_eq!((error.error().kind(), error.error().fate()), (Kind::NotFound, Fate::NotApplied));
        }
        clean(&broker, &topic).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_message_goes_through_and_one_byte_more_does_not() {
    on_servers("", async |broker, _| {
        let topic = declared(&broker, "largest", None).await;
        let most = broker.guarantees(Some(&topic), None).await.unwrap().limits.message_bytes.unwrap();
        let publisher = publisher(&broker, &topic).await;
        let empty = Message::new("").size();
        let sized = |bytes: usize| Message::new(vec![7u8; bytes - empty]);
        assert_eq!(sized(most).size(), most);
        publisher.publish(sized(most)).await.unwrap();
        let error = publisher.publish(sized(most + 1)).await.unwrap_err();
        assert_eq!((error.error().kind(), error.error().fate()), (Kind::TooLarge, Fate::NotApplied));
        let headers = Message::new("").with_header("h", vec![1u8; 200_000]);
        assert_eq!(publisher.publish(headers).await.unwrap_err().error().kind(), Kind::TooLarge);
        let mut consumer = consumer(&broker, &topic).await;
        let delivery = consumer.next().await.unwrap();
        assert_eq!(delivery.payload().len(), most - empty);
        delivery.ack().await.unwrap();
        consumer.close().await.unwrap();
        clean(&broker, &topic).await;
    })
    .await;
}

/// Many messages are on their way when the first group appears: what was returned and what was stored is told apart
/// message by message, although the broker acknowledges many at once.
#[tokio::test(flavor = "multi_thread")]
async fn exactly_what_was_confirmed_is_there() {
    on_servers("", async |broker, _| {
        let topic = unique("appears");
        broker.admin().declare(&Topology::new(topic.clone())).await.unwrap();
        let options = PublisherOptions::new(topic.clone()).on_failure(OnFailure::Continue);
        let publisher = broker.publisher(options).await.unwrap();
        let publishing = tokio::spawn(async move {
            let (mut confirmed, mut refused) = (BTreeSet::new(), 0);
            for round in 0..40 {
                let texts: Vec<_> = (0..500).map(|n| format!("{round}-{n}")).collect();
                let batch = texts.iter().map(|text| Message::new(text.clone())).collect();
                for (outcome, text) in publisher.publish_batch(batch).await.into_iter().zip(texts) {
                    match outcome {
                        Ok(_) => assert!(confirmed.insert(text)),
                        Err(error) => {
                            assert_eq!(error.error().kind(), Kind::NotFound);
                            refused += 1;
                        }
                    }
                }
            }
            (confirmed, refused)
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        broker.admin().declare(&Topology::new(topic.clone()).group(group("g"))).await.unwrap();
        let mut consumer = consumer(&broker, &topic).await;
        let (confirmed, refused) = publishing.await.unwrap();
        assert!(refused > 0 && !confirmed.is_empty(), "{refused} refused, {} confirmed", confirmed.len());
        let mut there = BTreeSet::new();
        while let Ok(batch) = tokio::time::timeout(Duration::from_secs(2), consumer.receive(1_000)).await {
            for delivery in batch.unwrap() {
                there.insert(text(&delivery));
                delivery.ack().await.unwrap();
            }
        }
        assert_eq!(there, confirmed);
        consumer.close().await.unwrap();
        clean(&broker, &topic).await;
    })
    .await;
}
