use std::time::Duration;

use anybroker_core::{
    Broker, Delivery, Durability, Fate, Kind, Message, Redelivery, Requirements, Topic, TransactionOptions,
    TransactionalId, TransactionalPublisher,
};

use crate::support::*;

fn options() -> TransactionOptions {
    TransactionOptions::new(TransactionalId::new(unique("holder")).unwrap()).timeout(Duration::from_secs(30))
}

async fn holder(broker: &Broker) -> Box<dyn TransactionalPublisher> {
    broker.transactional_publisher(options()).await.unwrap()
}

async fn take(consumer: &mut Box<dyn anybroker_core::Consumer>, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.push(next(consumer).await);
    }
    taken
}

async fn forward(holder: &mut Box<dyn TransactionalPublisher>, to: &Topic, inputs: Vec<Delivery>) {
    let transaction = holder.begin().await.unwrap();
    let outputs = inputs.iter().map(|input| Message::new(input.payload().clone())).collect();
    transaction.publish(to, outputs).await.unwrap();
    transaction.settle(inputs).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn what_is_done_by_a_transaction_is_done_for_plain_commits_too() {
    for protocol in ["classic", "consumer"] {
        go_on_after_transactions(&format!("group_protocol={protocol}")).await;
    }
}

async fn go_on_after_transactions(parameters: &str) {
    let broker = connect(parameters).await;
    let (inputs, outputs) = (topic(&broker, 1).await, topic(&broker, 1).await);
    let (sinks, group, mut holder) = (group(), group(), holder(&broker).await);
    publish(&broker, &inputs, "k", 0..10).await;
    let mut first = consumer(&broker, &inputs, &group).await;
    for _ in 0..2 {
        ack(next(&mut first).await).await;
        let batch = take(&mut first, 2).await;
        forward(&mut holder, &outputs, batch).await;
    }
    assert_eq!(ack(next(&mut first).await).await, 6);
    first.settler().flush().await.unwrap();
    assert_eq!(broker.admin().backlog(&inputs, &group).await.unwrap(), 3);
    first.close().await.unwrap();
    let mut second = consumer(&broker, &inputs, &group).await;
    assert_eq!(ack(next(&mut second).await).await, 7);
    second.close().await.unwrap();
    let mut reader = consumer(&broker, &outputs, &sinks).await;
    for expected in [1, 2, 4, 5] {
        assert_eq!(ack(next(&mut reader).await).await, expected);
    }
    reader.close().await.unwrap();
    holder.close().await.unwrap();
}

#[tokio::test]
async fn an_input_behind_one_that_is_not_done_is_refused() {
    let broker = connect("").await;
    let (inputs, outputs) = (topic(&broker, 1).await, topic(&broker, 1).await);
    let (group, mut holder) = (group(), holder(&broker).await);
    publish(&broker, &inputs, "k", 0..3).await;
    let mut consumer = consumer(&broker, &inputs, &group).await;
    let mut batch = take(&mut consumer, 3).await;
    let (last, zero) = (batch.pop().unwrap(), batch.remove(0));
    let transaction = holder.begin().await.unwrap();
    transaction.publish(&outputs, vec![Message::new("0")]).await.unwrap();
    transaction.settle(vec![zero, last]).await.unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert_eq!((error.kind(), error.fate()), (Kind::Superseded, Fate::NotApplied), "{error}");
    drop(batch);
    // They are there again, in order, and the publisher goes on.
    let batch = take(&mut consumer, 3).await;
    forward(&mut holder, &outputs, batch).await;
    assert_eq!(broker.admin().backlog(&inputs, &group).await.unwrap(), 0);
    consumer.close().await.unwrap();
    broker.close().await.unwrap();
}

#[tokio::test]
async fn what_is_refused_dooms_the_transaction_and_not_the_publisher() {
    let broker = connect("").await;
    let (inputs, outputs) = (topic(&broker, 1).await, topic(&broker, 1).await);
    let (group, mut holder) = (group(), holder(&broker).await);
    publish(&broker, &inputs, "k", 0..1).await;
    let mut consumer = consumer(&broker, &inputs, &group).await;
    let batch = take(&mut consumer, 1).await;
    let transaction = holder.begin().await.unwrap();
    transaction.settle(batch).await.unwrap();
    let missing = Topic::new(unique("missing")).unwrap();
    let refused = transaction.publish(&missing, vec![Message::new("0")]).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound, "{refused}");
    let late = transaction.publish(&outputs, vec![Message::new("0")]).await.unwrap_err();
    assert_eq!(late.kind(), Kind::NotFound, "the transaction is doomed: {late}");
    let error = transaction.commit().await.unwrap_err();
    assert_eq!((error.kind(), error.fate()), (Kind::NotFound, Fate::NotApplied), "{error}");
    let large = holder.begin().await.unwrap();
    let error = large.publish(&outputs, vec![Message::new(vec![0; 2 << 20])]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge, "{error}");
    drop(large);
    let batch = take(&mut consumer, 1).await;
    assert_eq!(batch[0].attempt(), 1, "a transaction that failed is no attempt");
    forward(&mut holder, &outputs, batch).await;
    consumer.close().await.unwrap();
    holder.close().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_publish_dooms_the_transaction() {
    let broker = connect("").await;
    let outputs = topic(&broker, 1).await;
    let mut holder = holder(&broker).await;
    let transaction = holder.begin().await.unwrap();
    let cancelled = transaction.publish(&outputs, vec![Message::new("0")]);
    assert!(futures_poll_once(cancelled).await.is_none(), "it was done at once");
    let error = transaction.commit().await.unwrap_err();
    assert!(error.to_string().contains("cancelled"), "{error}");
    assert_eq!(error.fate(), Fate::NotApplied);
    holder.close().await.unwrap();
}

/// Polls once, and cancels.
async fn futures_poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::ZERO, future).await.ok()
}

#[tokio::test]
async fn deliveries_of_another_handle_and_impossible_time_outs_are_refused() {
    let (broker, other) = (connect("").await, connect("").await);
    let inputs = topic(&broker, 1).await;
    publish(&broker, &inputs, "k", 0..1).await;
    let mut foreign = consumer(&other, &inputs, &group()).await;
    let mut holder = holder(&broker).await;
    let transaction = holder.begin().await.unwrap();
    let error = transaction.settle(take(&mut foreign, 1).await).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
    drop(transaction);
    for timeout in [Duration::from_millis(10), Duration::from_secs(24 * 3600)] {
        let error = broker.transactional_publisher(options().timeout(timeout)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
    }
    foreign.close().await.unwrap();
    holder.close().await.unwrap();
}

#[tokio::test]
async fn what_a_topic_decides_is_required_of_each_that_is_published_to() {
    let broker = connect("").await;
    let outputs = topic(&broker, 1).await;
    let needs = |durability| options().require(Requirements::new().durability_on_confirm(durability));
    let mut holder = broker.transactional_publisher(needs(Durability::PageCache)).await.unwrap();
    forward(&mut holder, &outputs, Vec::new()).await;
    holder.close().await.unwrap();
    let mut holder = broker.transactional_publisher(needs(Durability::ReplicatedFsync)).await.unwrap();
    let transaction = holder.begin().await.unwrap();
    let error = transaction.publish(&outputs, vec![Message::new("0")]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unmet, "{error}");
    drop(transaction);
    holder.close().await.unwrap();
    let count = options().require(Requirements::new().redelivery(Redelivery::Count));
    let error = broker.transactional_publisher(count).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unmet, "{error}");
}
