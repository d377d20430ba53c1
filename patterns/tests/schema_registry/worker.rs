//! A worker whose handlers see neither frames nor old versions, and whose dead letters are what was published.

use std::time::Duration;

use anybroker_core::dead_letter::Queue;
use anybroker_core::{
    Broker, Bytes, ConsumerExt as _, DeadLetterPolicy, Event as _, Group, Message, PublisherExt as _,
    PublisherOptions, Subscription, Topic,
};
use anybroker_patterns::schema::{ConfluentConfig, Framing, Schema, Upcasters, frame};
use anybroker_worker::{Batched, Batches, Failure, Item, Router, State, Worker};
use serde_json::json;
use tokio::sync::mpsc;
use tower::ServiceBuilder;

use super::framed::memory;
use super::gate::Gate;
use super::server::{at, open, own, port};
use super::{OrderPlaced, closed};

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

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn upcasters() -> Upcasters {
    let step =
        |data: serde_json::Value| Ok(json!({ "cents": data["euros"].as_u64().ok_or("no euros")? * 100 }));
    Upcasters::new().step(OrderPlaced::TYPE, 1, 2, step).unwrap()
}

/// Version 1, and the type as it is now.
async fn schemas(config: &ConfluentConfig) -> u32 {
    let registry = open(config);
    registry.register(&Schema::new(OrderPlaced::TYPE, 1, closed(&[("euros", "integer")]))).await.unwrap();
    registry.register(&Schema::of::<OrderPlaced>()).await.unwrap().id
}

async fn publish(broker: &Broker, messages: Vec<Message>) {
    let publisher = broker.publisher(PublisherOptions::new(topic("orders"))).await.unwrap();
    for message in messages {
        publisher.publish(message).await.unwrap();
    }
    publisher.close().await.unwrap();
}

/// Runs a worker until so many orders were seen, and so many dead letters are there.
async fn run(broker: &Broker, framing: Framing, batches: bool, orders: usize, letters: usize) -> Vec<u64> {
    let (sender, mut seen) = mpsc::channel(100);
    let subscription = Subscription::new(topic("orders"), Group::new("billing").unwrap())
        .dead_letter(DeadLetterPolicy { topic: topic("orders-dead"), max_attempts: None });
    let layers = ServiceBuilder::new().layer(framing).layer(upcasters());
    let builder = Worker::builder(broker.clone()).state::<Seen>(sender);
    let worker = if batches {
        builder.subscribe_batch(subscription, Batches::of(10), layers.service(Batched::new(bill_all)))
    } else {
        builder.subscribe(subscription, layers.service(Router::new().on(bill)))
    };
    let mut cents = Vec::new();
    let until = async {
        for _ in 0..orders {
            cents.push(seen.recv().await.unwrap().cents);
        }
        let watch = Subscription::new(topic("orders-dead"), Group::new("watch").unwrap());
        let mut watch = broker.consumer(watch).await.unwrap();
        for _ in 0..letters {
            watch.next().await.unwrap().ack().await.unwrap();
        }
    };
    let worker = worker.build().unwrap();
    tokio::time::timeout(Duration::from_secs(30), worker.run_until(until)).await.unwrap().unwrap();
    cents
}

/// The dead letters: payload and reason.
async fn letters(broker: &Broker) -> Vec<(Bytes, String)> {
    let queue = Queue::new(broker.clone(), topic("orders-dead"), Group::new("people").unwrap());
    let mut letters = queue.idle(Duration::from_millis(200)).open().await.unwrap();
    letters.read(|_| false).await.unwrap();
    let all = letters
        .held()
        .iter()
        .map(|letter| (letter.delivery().payload().clone(), letter.envelope().unwrap().reason.to_string()));
    let all = all.collect();
    letters.close().await.unwrap();
    all
}

#[tokio::test]
async fn handlers_see_the_newest_version_and_bad_frames_are_dead_letters_as_they_came() {
    let Some(config) = own() else { return };
    let id = schemas(&config).await;
    let framing = Framing::new(open(&config));
    let mut old = Message::new(r#"{"euros":1}"#).with_type(OrderPlaced::TYPE);
    old.schema_version = Some(1);
    // As another client publishes it: nothing but the frame says what it is.
    let bare = Message::new(frame(id, br#"{"cents":300}"#));
    let bad = [Bytes::from_static(b"{}"), Bytes::from_static(&[0, 0]), frame(4_000_000_000, b"{}")];
    for batches in [false, true] {
        let broker = memory().await;
        let new = Message::event(&OrderPlaced { cents: 200 }).unwrap();
        let mut messages = vec![framing.encode(old.clone()).await.unwrap()];
        messages.extend(bad.iter().map(|payload| Message::new(payload.clone())));
        messages.extend([framing.encode(new).await.unwrap(), bare.clone()]);
        publish(&broker, messages).await;
        let mut cents = run(&broker, framing.clone(), batches, 3, 3).await;
        cents.sort_unstable();
        assert_eq!(cents, [100, 200, 300]);
        let letters = letters(&broker).await;
        for (payload, said) in bad.iter().zip(["0x7b", "2 bytes", "no schema has the id"]) {
            let reason = letters.iter().find(|letter| letter.0 == *payload).map(|letter| &letter.1);
            assert!(reason.is_some_and(|reason| reason.contains(said)), "{said}: {letters:?}");
        }
        assert_eq!(letters.len(), bad.len());
    }
}

#[tokio::test]
async fn while_the_registry_is_away_messages_wait() {
    let Some(config) = own() else { return };
    schemas(&config).await;
    let message = Message::event(&OrderPlaced { cents: 200 }).unwrap();
    let framed = Framing::new(open(&config)).encode(message).await.unwrap();
    // More connections are dropped than one attempt to handle a message makes.
    let gate = Gate::open(port(&config), 3).await;
    let away = ConfluentConfig { attempts: 1, ..at(&config, gate.port) };
    let broker = memory().await;
    publish(&broker, vec![framed]).await;
    assert_eq!(run(&broker, Framing::new(open(&away)), false, 1, 0).await, [200]);
    assert!(gate.connections() > 3);
}
