//! Transactions of the in-memory broker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::time::Duration;

use anybroker_core::{
    Broker, Consumer, ConsumerExt, Delivery, Fate, Group, Kind, Message, PublisherExt, PublisherOptions,
    Subscription, Topic, TransactionOptions, TransactionalId, TransactionalPublisher,
};

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

async fn broker(name: &str, parameters: &str) -> Broker {
    anybroker_memory::connect(&format!("memory://{name}?{parameters}").parse().unwrap()).await.unwrap()
}

async fn consumer(broker: &Broker, name: &str) -> Box<dyn Consumer> {
    broker.consumer(Subscription::new(topic(name), Group::new("g").unwrap())).await.unwrap()
}

async fn holder(broker: &Broker) -> Box<dyn TransactionalPublisher> {
    let options = TransactionOptions::new(TransactionalId::new("t-0").unwrap());
    broker.transactional_publisher(options.timeout(Duration::from_secs(10))).await.unwrap()
}

/// Publishes numbers of one key to the topic `in`, and takes them.
async fn inputs(broker: &Broker, count: u32) -> (Box<dyn Consumer>, Vec<Delivery>) {
    let publisher = broker.publisher(PublisherOptions::new(topic("in"))).await.unwrap();
    for number in 0..count {
        publisher.publish(Message::new(number.to_string()).with_key("k")).await.unwrap();
    }
    let mut consumer = consumer(broker, "in").await;
    let batch = take(&mut consumer, count).await;
    (consumer, batch)
}

async fn take(consumer: &mut Box<dyn Consumer>, count: u32) -> Vec<Delivery> {
    let mut batch = Vec::new();
    for _ in 0..count {
        batch.push(consumer.next().await.unwrap());
    }
    batch
}

fn payloads(batch: &[Delivery]) -> Vec<String> {
    batch.iter().map(|delivery| String::from_utf8_lossy(delivery.payload()).into_owned()).collect()
}

async fn nothing_comes(consumer: &mut Box<dyn Consumer>) {
    let more = tokio::time::timeout(Duration::from_secs(60), consumer.receive(9)).await;
    assert!(more.is_err(), "{more:?}");
}

fn outputs() -> Vec<Message> {
    ["x", "y"].map(|payload| Message::new(payload).with_key("k")).to_vec()
}

#[tokio::test(start_paused = true)]
async fn a_commit_shows_everything_at_once_and_nothing_before() {
    let broker = broker("tx-commit", "").await;
    let (mut members, batch) = inputs(&broker, 2).await;
    let mut out = consumer(&broker, "out").await;
    let mut publisher = holder(&broker).await;
    let transaction = publisher.begin().await.unwrap();
    transaction.publish(&topic("out"), outputs()).await.unwrap();
    transaction.settle(batch).await.unwrap();
    nothing_comes(&mut out).await;
    // The time-out has passed with the wait; the next one is quicker.
    assert_eq!(transaction.commit().await.unwrap_err().kind(), Kind::TimedOut);
    let batch = take(&mut members, 2).await;
    let transaction = publisher.begin().await.unwrap();
    transaction.publish(&topic("out"), outputs()).await.unwrap();
    transaction.settle(batch).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(payloads(&take(&mut out, 2).await), ["x", "y"]);
    members.close().await.unwrap();
    nothing_comes(&mut consumer(&broker, "in").await).await;
    assert_eq!(broker.admin().backlog(&topic("in"), &Group::new("g").unwrap()).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_aborted_or_dropped_was_never_there_and_its_inputs_come_again_in_order() {
    let broker = broker("tx-abort", "").await;
    let (mut members, mut batch) = inputs(&broker, 3).await;
    let mut out = consumer(&broker, "out").await;
    let mut publisher = holder(&broker).await;
    for abort in [true, false] {
        let transaction = publisher.begin().await.unwrap();
        transaction.publish(&topic("out"), outputs()).await.unwrap();
        transaction.settle(batch).await.unwrap();
        if abort {
            transaction.abort().await.unwrap();
        } else {
            drop(transaction);
        }
        batch = take(&mut members, 3).await;
        assert_eq!(payloads(&batch), ["0", "1", "2"]);
        assert!(batch.iter().all(|delivery| delivery.attempt() == 1 && delivery.redelivered()));
    }
    nothing_comes(&mut out).await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_the_id_fences_the_holder_before() {
    let broker = broker("tx-fence", "").await;
    let (mut members, batch) = inputs(&broker, 1).await;
    let mut out = consumer(&broker, "out").await;
    let mut zombie = holder(&broker).await;
    let transaction = zombie.begin().await.unwrap();
    transaction.publish(&topic("out"), outputs()).await.unwrap();
    transaction.settle(batch).await.unwrap();
    let mut publisher = holder(&broker).await;
    let fenced = transaction.commit().await.unwrap_err();
    assert_eq!((fenced.kind(), fenced.fate()), (Kind::Fenced, Fate::NotApplied));
    assert_eq!(zombie.begin().await.unwrap_err().kind(), Kind::Fenced);
    let batch = take(&mut members, 1).await;
    let transaction = publisher.begin().await.unwrap();
    transaction.settle(batch).await.unwrap();
    transaction.commit().await.unwrap();
    nothing_comes(&mut out).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_dooms_the_transaction() {
    let broker = broker("tx-doom", "topology=check").await;
    for name in ["in", "out"] {
        broker
            .admin()
            .declare(&anybroker_core::Topology::new(topic(name)).group(Group::new("g").unwrap()))
            .await
            .unwrap();
    }
    let (mut members, batch) = inputs(&broker, 1).await;
    let mut out = consumer(&broker, "out").await;
    let mut publisher = holder(&broker).await;
    let transaction = publisher.begin().await.unwrap();
    transaction.publish(&topic("out"), outputs()).await.unwrap();
    transaction.settle(batch).await.unwrap();
    let missing = transaction.publish(&topic("nowhere"), outputs()).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
    assert_eq!(transaction.publish(&topic("out"), outputs()).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(transaction.commit().await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(payloads(&take(&mut members, 1).await), ["0"]);
    nothing_comes(&mut out).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_partition_leaves_nothing_of_a_transaction_behind() {
    let broker = broker("tx-full", "retention=3&partitions=1&deduplication=1h").await;
    let (mut members, batch) = inputs(&broker, 1).await;
    let mut out = consumer(&broker, "out").await;
    let mut publisher = holder(&broker).await;
    let transaction = publisher.begin().await.unwrap();
    transaction.settle(batch).await.unwrap();
    let four: Vec<_> = (0..4).map(|at| Message::new("x").with_id(format!("m{at}")).with_key("k")).collect();
    transaction.publish(&topic("out"), four.clone()).await.unwrap();
    assert_eq!(transaction.commit().await.unwrap_err().kind(), Kind::Throttled);
    let batch = take(&mut members, 1).await;
    let transaction = publisher.begin().await.unwrap();
    transaction.settle(batch).await.unwrap();
    transaction.publish(&topic("out"), four[..3].to_vec()).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(take(&mut out, 3).await.len(), 3, "their ids were not taken for known");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_was_taken_away_aborts_the_transaction() {
    let broker = broker("tx-rebalance", "partitions=1").await;
    let (members, batch) = inputs(&broker, 1).await;
    let mut out = consumer(&broker, "out").await;
    let mut publisher = holder(&broker).await;
    let transaction = publisher.begin().await.unwrap();
    transaction.publish(&topic("out"), outputs()).await.unwrap();
    transaction.settle(batch).await.unwrap();
    drop(members);
    let mut other = consumer(&broker, "in").await;
    assert_eq!(payloads(&take(&mut other, 1).await), ["0"]);
    let gone = transaction.commit().await.unwrap_err();
    assert!(matches!(gone.kind(), Kind::Fenced | Kind::Closed), "{gone}");
    assert_eq!(gone.fate(), Fate::NotApplied);
    nothing_comes(&mut out).await;
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_waits_for_a_transaction() {
    let broker = broker("tx-drain", "partitions=1").await;
    let (members, batch) = inputs(&broker, 1).await;
    let mut publisher = holder(&broker).await;
    let transaction = publisher.begin().await.unwrap();
    transaction.settle(batch).await.unwrap();
    let mut other = consumer(&broker, "in").await;
    let early = tokio::time::timeout(Duration::from_secs(1), other.next()).await;
    assert!(early.is_err(), "the drain deadline is five seconds");
    transaction.commit().await.unwrap();
    nothing_comes(&mut other).await;
    members.close().await.unwrap();
    nothing_comes(&mut other).await;
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_another_handle_are_refused() {
    let (one, two) = (broker("tx-foreign", "").await, broker("tx-foreign", "").await);
    let (_members, batch) = inputs(&one, 1).await;
    let mut publisher = holder(&two).await;
    let transaction = publisher.begin().await.unwrap();
    let refused = transaction.settle(batch).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidConfiguration);
}

#[tokio::test]
async fn a_broker_without_transactions_refuses_and_says_what_to_use_instead() {
    let broker = broker("tx-none", "like=rabbitmq").await;
    let options = TransactionOptions::new(TransactionalId::new("t").unwrap());
    let refused = broker.transactional_publisher(options).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unsupported);
    assert!(refused.to_string().contains("outbox"), "{refused}");
}
