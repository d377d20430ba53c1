//! Upcasters on the way from a broker: handlers of single messages and of batches, plain consumers, and replay from dead
//! letters. What cannot be read is not lost.

use std::time::Duration;

use anybroker_core::dead_letter::{Filter, Queue, ReplayOptions};
use anybroker_core::{
    Broker, ConsumerExt as _, DeadLetterPolicy, Event as _, Group, Kind, Message, PublisherExt as _,
    PublisherOptions, Subscription, Topic,
};
use anybroker_patterns::schema::Upcasters;
use anybroker_worker::{Batched, Batches, Failure, Item, Router, State, Worker};
use tokio::sync::mpsc;
use tower::ServiceBuilder;

use super::{OrderPlaced, order, upcasters};

type Seen = mpsc::Sender<OrderPlaced>;

async fn bill(order: OrderPlaced, State(seen): State<Seen>) -> Result<(), Failure> {
    seen.send(order).await?;
    Ok(())
}

async fn bill_all(orders: Vec<Item<OrderPlaced>>, State(seen): State<Seen>) -> Result<(), Failure> {
    for order in orders {
        seen.send(order.event).await?;
    }
    Ok(())
}

async fn memory() -> Broker {
    let url = format!("memory://schema-{}", anybroker_core::MessageId::new());
    anybroker_memory::connect(&url.parse().unwrap()).await.unwrap()
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn subscription() -> Subscription {
    Subscription::new(topic("orders"), Group::new("billing").unwrap())
        .dead_letter(DeadLetterPolicy { topic: topic("orders-dead"), max_attempts: None })
}

/// A message of a version, as the program of that time published it.
fn written(version: Option<u32>, payload: &'static str) -> Message {
    let mut message = Message::new(payload).with_type(OrderPlaced::TYPE).with_key("order-7");
    message.schema_version = version;
    message
}

async fn publish(broker: &Broker, messages: Vec<Message>) {
    let publisher = broker.publisher(PublisherOptions::new(topic("orders"))).await.unwrap();
    for message in messages {
        publisher.publish(message).await.unwrap();
    }
    publisher.close().await.unwrap();
}

/// Runs a worker until so many orders were seen, and so many dead letters are there.
async fn run(
    broker: &Broker,
    upcasters: Upcasters,
    batches: bool,
    orders: usize,
    letters: usize,
) -> Vec<u64> {
    let (sender, mut seen) = mpsc::channel(100);
    let builder = Worker::builder(broker.clone()).state::<Seen>(sender);
    let worker = if batches {
        let handler = ServiceBuilder::new().layer(upcasters).service(Batched::new(bill_all));
        builder.subscribe_batch(subscription(), Batches::of(10), handler)
    } else {
        let handler = ServiceBuilder::new().layer(upcasters).service(Router::new().on(bill));
        builder.subscribe(subscription(), handler)
    };
    let mut cents = Vec::new();
    let until = async {
        for _ in 0..orders {
            cents.push(seen.recv().await.unwrap().cents);
        }
        // A group of its own for each run: it sees all letters from the first on.
        let group = Group::new(format!("watch-{}", anybroker_core::MessageId::new())).unwrap();
        let watch = Subscription::new(topic("orders-dead"), group);
        let mut watch = broker.consumer(watch).await.unwrap();
        for _ in 0..letters {
            watch.next().await.unwrap().ack().await.unwrap();
        }
    };
    let worker = worker.build().unwrap();
    tokio::time::timeout(Duration::from_secs(20), worker.run_until(until)).await.unwrap().unwrap();
    cents
}

/// The dead letters: version, payload and reason.
async fn letters(broker: &Broker) -> Vec<(Option<u32>, String, String)> {
    let queue = Queue::new(broker.clone(), topic("orders-dead"), Group::new("people").unwrap());
    let mut letters = queue.idle(Duration::from_millis(200)).open().await.unwrap();
    letters.read(|_| false).await.unwrap();
    let all = letters.held().iter().map(|letter| {
        let delivery = letter.delivery();
        let payload = String::from_utf8(delivery.payload().to_vec()).unwrap();
        (delivery.schema_version(), payload, letter.envelope().unwrap().reason.to_string())
    });
    let all = all.collect();
    letters.close().await.unwrap();
    all
}

async fn replay(broker: &Broker) {
    let queue = Queue::new(broker.clone(), topic("orders-dead"), Group::new("people").unwrap());
    let mut letters = queue.idle(Duration::from_millis(200)).open().await.unwrap();
    letters.read(|_| false).await.unwrap();
    let mut replay = letters.replay(&Filter::default(), ReplayOptions::default()).unwrap();
    while !replay.step().await.is_empty() {}
    assert!(replay.summary().is_complete(), "{:?}", replay.summary());
    replay.close().await.unwrap();
    letters.close().await.unwrap();
}

fn old_ones() -> Vec<Message> {
    vec![
        written(None, r#"{"euros":1}"#),
        written(Some(1), r#"{"euros":2}"#),
        written(Some(2), r#"{"cents":300}"#),
        Message::event(&order(400)).unwrap(),
    ]
}

#[tokio::test]
async fn handlers_see_the_newest_version() {
    for batches in [false, true] {
        let broker = memory().await;
        publish(&broker, old_ones()).await;
        assert_eq!(run(&broker, upcasters(), batches, 4, 0).await, [100, 200, 300, 400]);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_a_dead_letter_as_it_was_published() {
    for batches in [false, true] {
        let broker = memory().await;
        publish(
            &broker,
            vec![
                written(Some(4), r#"{"dollars":1}"#),
                written(Some(0), r#"{"pence":1}"#),
                written(Some(1), r#"{"pounds":1}"#),
                written(Some(1), "euros: 1"),
                written(Some(2), r#"{"cents":100}"#),
            ],
        )
        .await;
        assert_eq!(run(&broker, upcasters(), batches, 1, 4).await, [100]);
        let letters = letters(&broker).await;
        let expected = [
            (4, r#"{"dollars":1}"#, "newer than this program knows"),
            (0, r#"{"pence":1}"#, "older than any upcaster reads"),
            (1, r#"{"pounds":1}"#, "no euros"),
            (1, "euros: 1", "is no JSON"),
        ];
        assert_eq!(letters.len(), expected.len());
        for ((version, payload, reason), (its, was, said)) in letters.iter().zip(expected) {
            assert_eq!((*version, &**payload), (Some(its), was));
            assert!(reason.contains(said) && reason.contains("order.placed"), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_replayed_dead_letter_has_its_old_version_and_arrives_upcast() {
    let broker = memory().await;
    publish(&broker, old_ones()).await;
    // A program without upcasters reads only its own version.
    let none = Upcasters::new();
    assert_eq!(run(&broker, none, false, 1, 3).await, [400]);
    let versions: Vec<_> = letters(&broker).await.into_iter().map(|letter| letter.0).collect();
    assert_eq!(versions, [None, Some(1), Some(2)]);
    replay(&broker).await;
    assert_eq!(run(&broker, upcasters(), false, 3, 0).await, [100, 200, 300]);
}

#[tokio::test]
async fn a_newer_version_waits_as_a_dead_letter_for_a_newer_program() {
    let broker = memory().await;
    publish(&broker, vec![Message::event(&order(400)).unwrap()]).await;
    let of_yesterday = Upcasters::new().current(OrderPlaced::TYPE, 2);
    assert_eq!(run(&broker, of_yesterday, false, 0, 1).await, [0; 0]);
    replay(&broker).await;
    assert_eq!(run(&broker, upcasters(), false, 1, 0).await, [400]);
}

#[tokio::test]
async fn a_handler_that_fails_leaves_the_dead_letter_as_it_was_published() {
    async fn refuse(_: OrderPlaced) -> Result<(), Failure> {
        Err(Failure::permanent("no such customer"))
    }
    let broker = memory().await;
    publish(&broker, vec![written(Some(1), r#"{"euros":2}"#)]).await;
    let handler = ServiceBuilder::new().layer(upcasters()).service(Router::new().on(refuse));
    let worker = Worker::builder(broker.clone()).subscribe(subscription(), handler).build().unwrap();
    let dead = Subscription::new(topic("orders-dead"), Group::new("watch").unwrap());
    let mut watch = broker.consumer(dead).await.unwrap();
    let until = async { drop(watch.next().await.unwrap()) };
    tokio::time::timeout(Duration::from_secs(20), worker.run_until(until)).await.unwrap().unwrap();
    let letters = letters(&broker).await;
    assert_eq!((letters[0].0, &*letters[0].1), (Some(1), r#"{"euros":2}"#));
    assert!(letters[0].2.contains("no such customer"));
}

#[tokio::test]
async fn consumers_without_a_worker_read_any_version() {
    let broker = memory().await;
    let mut wrong_version = written(None, "{}");
    wrong_version.event_type = Some("order.cancelled".into());
    let all = old_ones().into_iter().chain([wrong_version, written(Some(9), "{}")]).collect();
    publish(&broker, all).await;
    let mut consumer = broker.consumer(subscription()).await.unwrap();
    let upcasters = upcasters();
    for cents in [100, 200, 300, 400] {
        let delivery = consumer.next().await.unwrap();
        assert_eq!(upcasters.event::<OrderPlaced>(&delivery).unwrap(), order(cents));
        delivery.ack().await.unwrap();
    }
    for said in ["order.cancelled", "newer than this program"] {
        let delivery = consumer.next().await.unwrap();
        let error = upcasters.event::<OrderPlaced>(&delivery).unwrap_err();
        assert_eq!(error.kind(), Kind::Decode);
        assert!(error.to_string().contains(said), "{error}");
        delivery.ack().await.unwrap();
    }
}

#[test]
fn a_version_that_is_no_number_is_not_taken_for_the_first() {
    let mut buffer = anybroker_core::RecordBuffer::new();
    let mut writer = buffer.record();
    writer.attribute("type", OrderPlaced::TYPE.as_bytes());
    writer.attribute("schemaversion", b"two");
    let record = writer.finish_copying(br#"{"euros":2}"#);
    let error = upcasters().event::<OrderPlaced>(&record).unwrap_err();
    assert!(error.kind() == Kind::Decode && error.to_string().contains("two"), "{error}");
}
