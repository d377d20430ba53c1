//! Publishing: deduplicated, in order for each key, readable by everybody.

use std::time::Duration;

use anybroker_core::{Kind, Message, PublisherExt, Settlement};
use anybroker_sqs::aws_sdk_sqs::types::MessageSystemAttributeName as System;

use crate::support::{clean, connect, consumer, declared, native, publisher, receive, silent, texts, url_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_stored_once() {
    let broker = connect("wait=1s").await;
    let topic = declared(&broker, "dedup").await;
    let publisher = publisher(&broker, &topic).await;
    for id in ["same", "same", "two words", "two words", "other"] {
        publisher.publish(Message::new(id).with_id(id).with_key("k")).await.unwrap();
    }
    let mut consumer = consumer(&broker, &topic).await;
    let got = receive(&mut consumer, 3).await;
    assert_eq!(texts(&got), ["same", "two words", "other"]);
    for delivery in got {
        delivery.ack().await.unwrap();
    }
    publisher.publish(Message::new("again").with_id("same").with_key("k")).await.unwrap();
    silent(&mut consumer, Duration::from_secs(2)).await;
    consumer.close().await.unwrap();
    clean(&broker, &topic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_keys_and_many_keep_their_order() {
    for (parameters, keys) in [("wait=1s", 2), ("wait=1s", 60), ("wait=1s&key_batch=10", 2)] {
        let broker = connect(parameters).await;
        let topic = declared(&broker, "order").await;
        let publisher = publisher(&broker, &topic).await;
        let messages = |from: usize| {
            (from..from + 150)
                .map(|n| Message::new(n.to_string()).with_key(format!("k{}", n % keys)))
                .collect::<Vec<_>>()
        };
        let both = tokio::join!(publisher.publish_batch(messages(0)), publisher.publish_batch(messages(150)));
        both.0.into_iter().chain(both.1).for_each(|outcome| _ = outcome.unwrap());
        let mut consumer = consumer(&broker, &topic).await;
        let settler = consumer.settler();
        let mut last = vec![-1; keys];
        for _ in 0..300 {
            let got = receive(&mut consumer, 1).await;
            let number: i64 = texts(&got)[0].parse().unwrap();
            let key = number as usize % keys;
            assert!(last[key] < number, "{number} came after {} with {parameters}", last[key]);
            last[key] = number;
            for settled in settler.settle(got.into_iter().map(Settlement::ack).collect()).await {
                settled.unwrap();
            }
        }
        consumer.close().await.unwrap();
        clean(&broker, &topic).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_program_reads_and_writes() {
    let broker = connect("wait=1s").await;
    let topic = declared(&broker, "foreign").await;
    let url = url_of(&broker, &format!("{topic}.fifo")).await;
    let publisher = publisher(&broker, &topic).await;
    let event = Message::new("{\"n\":1}").with_id("m-1").with_key("order-7").with_type("order.placed");
    let event = event.with_content_type("application/json").with_header("tenant", "acme");
    publisher.publish(event).await.unwrap();
    let client = native(&broker);
    let asked = client.receive_message().queue_url(&url).message_attribute_names("All");
    let got =
        asked.message_system_attribute_names(System::All).send().await.unwrap().messages.unwrap().remove(0);
    let attributes = got.message_attributes().unwrap();
    let text = |name: &str| attributes.get(name).and_then(|value| value.string_value());
    assert_eq!(got.body(), Some("{\"n\":1}"));
    assert_eq!(
        [text("ce_id"), text("ce_type"), text("content-type"), text("tenant"), text("anybroker-headers")],
        [Some("m-1"), Some("order.placed"), Some("application/json"), Some("acme"), None]
    );
    let system = got.attributes().unwrap();
    assert_eq!(system[&System::MessageGroupId], "order-7");
    assert_eq!(system[&System::MessageDeduplicationId], "m-1");
    client
        .delete_message()
        .queue_url(&url)
        .receipt_handle(got.receipt_handle().unwrap())
        .send()
        .await
        .unwrap();

    let sent = client.send_message().queue_url(&url).message_body("hello").message_group_id("g-1");
    let id = sent.message_deduplication_id("d-1").send().await.unwrap().message_id.unwrap();
    let mut consumer = consumer(&broker, &topic).await;
    let got = receive(&mut consumer, 1).await.remove(0);
    assert_eq!((&got.payload()[..], got.key()), (&b"hello"[..], Some(&b"g-1"[..])));
    assert_eq!(got.id().unwrap().to_string(), id);
    assert!(got.time().is_some(), "SQS says when it was sent");
    got.ack().await.unwrap();
    consumer.close().await.unwrap();
    clean(&broker, &topic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_count_as_sqs_counts_them() {
    let broker = connect("wait=1s").await;
    let topic = declared(&broker, "size").await;
    let publisher = publisher(&broker, &topic).await;
    // Base64 makes four bytes of three.
    let outcome = publisher.publish(Message::new(vec![0xff; 900_000])).await;
    let (error, message) = outcome.unwrap_err().into_parts();
    assert_eq!((error.kind(), message.payload.len()), (Kind::TooLarge, 900_000));
    publisher.publish(Message::new(vec![0xff; 700_000])).await.unwrap();
    let large = (0..3).map(|_| Message::new(vec![b'x'; 600_000])).collect();
    for outcome in publisher.publish_batch(large).await {
        outcome.unwrap();
    }
    clean(&broker, &topic).await;
}
