//! Messages of Pulsar's own client.

use anybroker_core::Broker;
use anybroker_pulsar::NativeClient;
use anybroker_pulsar::pulsar::{Producer, ProducerOptions, TokioExecutor, producer::Message};

use crate::support::{connect, declared, receive, subscription, texts};

async fn batching(broker: &Broker, topic: &anybroker_core::Topic) -> Producer<TokioExecutor> {
    let native = broker.native().unwrap().downcast_ref::<NativeClient>().unwrap();
    let options = ProducerOptions { batch_size: Some(5), ..ProducerOptions::default() };
    let producer = native.client().await.unwrap().producer().with_options(options);
    producer.with_topic(format!("persistent://public/default/{topic}")).build().await.unwrap()
}

/// Five messages are one entry: it is acknowledged with the last of them, and comes again whole until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_acknowledged_with_its_last_message() {
    let broker = connect("").await;
    let topic = declared(&broker, "batch", None).await;
    let mut producer = batching(&broker, &topic).await;
    let mut receipts = Vec::new();
    for number in 0..5 {
        let message = Message {
            payload: format!("m{number}").into_bytes(),
            partition_key: Some("k".to_owned()),
            properties: [("tenant".to_owned(), "acme".to_owned())].into(),
            ..Message::default()
        };
        receipts.push(producer.send_non_blocking(message).await.unwrap());
    }
    for receipt in receipts {
        receipt.await.unwrap();
    }
    let all = ["m0", "m1", "m2", "m3", "m4"];

    let mut consumer = broker.consumer(subscription(&topic)).await.unwrap();
    let mut deliveries = receive(&mut consumer, 5).await;
    assert_eq!(texts(&deliveries), all);
    assert!(deliveries.iter().all(|d| d.header("tenant") == Some(b"acme") && d.key() == Some(b"k")));
    let last = deliveries.pop().unwrap();
    for delivery in deliveries {
        delivery.ack().await.unwrap();
    }
    drop(last);
    consumer.close().await.unwrap();

    let mut consumer = broker.consumer(subscription(&topic)).await.unwrap();
    let again = receive(&mut consumer, 5).await;
    assert_eq!(texts(&again), all);
    for delivery in again {
        delivery.ack().await.unwrap();
    }
    consumer.close().await.unwrap();
    assert_eq!(broker.admin().backlog(&topic, &subscription(&topic).group).await.unwrap(), 0);
    broker.admin().delete(&topic).await.unwrap();
}
