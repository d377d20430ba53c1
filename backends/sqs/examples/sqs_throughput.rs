//! What batches, lanes and parallel requests bring on SQS: publishing and consuming beside one request at a time.
//!
//! `cargo run --release -p anybroker-sqs --example sqs_throughput -- 'sqs://us-east-1?endpoint=http://127.0.0.1:9324' [MESSAGES] [KEYS]`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails has nothing to say")]

use std::time::Instant;

use anybroker_core::{
    Broker, Group, Message, MessageId, PublisherExt, PublisherOptions, Settlement, Subscription, Topic,
    Topology,
};
use anybroker_sqs::aws_sdk_sqs::Client;

const PAYLOAD: usize = 1024;
const BATCH: usize = 500;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "sqs://us-east-1?endpoint=http://127.0.0.1:9324".to_owned());
    let count = arguments.next().map_or(20_000, |n| n.parse().expect("a number of messages"));
    let keys = arguments.next().map_or(1_000, |n| n.parse().expect("a number of keys"));
    let broker = anybroker_sqs::connect(&url.parse().expect("a URL")).await.expect("a broker");
    println!("{PAYLOAD} bytes, {keys} keys");
    let few = (count / 20).max(1);
    let topic = declared(&broker).await;
    let native: &Client = broker.native().and_then(|native| native.downcast_ref()).unwrap();
    let queue =
        native.get_queue_url().queue_name(format!("{topic}.fifo")).send().await.unwrap().queue_url.unwrap();
    measure("publish, SDK, one at a time", few, one_by_one(native, &queue, few, keys)).await;
    measure("consume, SDK, one at a time", few, take_one_by_one(native, &queue, few)).await;
    measure("publish, one at a time", few, publish(&broker, &topic, few, keys, 1)).await;
    measure("publish", count, publish(&broker, &topic, count, keys, BATCH)).await;
    measure("consume", few + count, consume(&broker, &topic, few + count)).await;
    broker.admin().delete(&topic).await.unwrap();
    broker.close().await.unwrap();
}

async fn declared(broker: &Broker) -> Topic {
    let topic = Topic::new(format!("throughput-{}", MessageId::new())).unwrap();
    let topology = Topology::new(topic.clone()).group(Group::new("g").unwrap());
    broker.admin().declare(&topology).await.unwrap();
    topic
}

async fn measure(what: &str, count: usize, work: impl Future<Output = ()>) {
    let started = Instant::now();
    work.await;
    println!("  {what:<32} {:>8.0} messages/s", count as f64 / started.elapsed().as_secs_f64());
}

fn message(n: usize, keys: usize) -> Message {
    Message::new("x".repeat(PAYLOAD)).with_key(format!("key-{}", n % keys))
}

async fn publish(broker: &Broker, topic: &Topic, count: usize, keys: usize, batch: usize) {
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    let mut waiting = std::collections::VecDeque::new();
    for from in (0..count).step_by(batch) {
        let messages: Vec<_> = (from..(from + batch).min(count)).map(|n| message(n, keys)).collect();
        if batch == 1 {
            publisher.publish_batch(messages).await.into_iter().for_each(|outcome| _ = outcome.unwrap());
            continue;
        }
        let bytes = messages.iter().map(Message::size).sum();
        let permit = publisher.ready(messages.len(), bytes).await.unwrap();
        waiting.push_back(publisher.enqueue(permit, messages));
        if waiting.len() > 16 {
            waiting.pop_front().unwrap().await.into_iter().for_each(|outcome| _ = outcome.unwrap());
        }
    }
    for confirmations in waiting {
        confirmations.await.into_iter().for_each(|outcome| _ = outcome.unwrap());
    }
    publisher.close().await.unwrap();
}

async fn consume(broker: &Broker, topic: &Topic, count: usize) {
    let subscription = Subscription::new(topic.clone(), Group::new("g").unwrap());
    let mut consumer = broker.consumer(subscription).await.unwrap();
    let settler = consumer.settler();
    let mut under_way = tokio::task::JoinSet::new();
    let mut done = 0;
    while done < count {
        let batch = consumer.receive(BATCH).await.unwrap();
        done += batch.len();
        let settler = settler.clone();
        under_way.spawn(async move {
            let acks = batch.into_iter().map(Settlement::ack).collect();
            settler.settle(acks).await.into_iter().for_each(|settled| _ = settled.unwrap());
        });
    }
    while let Some(settled) = under_way.join_next().await {
        settled.unwrap();
    }
    consumer.close().await.unwrap();
}

async fn one_by_one(client: &Client, queue: &str, count: usize, keys: usize) {
    let body = "x".repeat(PAYLOAD);
    for n in 0..count {
        let sent = client.send_message().queue_url(queue).message_body(&body);
        let sent = sent.message_group_id(format!("key-{}", n % keys));
        sent.message_deduplication_id(MessageId::new().to_string()).send().await.unwrap();
    }
}

async fn take_one_by_one(client: &Client, queue: &str, count: usize) {
    for _ in 0..count {
        let received = client.receive_message().queue_url(queue).wait_time_seconds(5).send().await.unwrap();
        let message = received.messages.unwrap().remove(0);
        let deleted = client.delete_message().queue_url(queue);
        deleted.receipt_handle(message.receipt_handle.unwrap()).send().await.unwrap();
    }
}
