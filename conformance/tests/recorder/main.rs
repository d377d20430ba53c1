//! The recorder leaves nothing out that a loss would show in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use anybroker::worker::{Handling, Retry, Worker};
use anybroker::{
    Broker, ConsumerExt, DeadLetterPolicy, Group, Message, PublisherExt, PublisherOptions, Subscription,
    Topic,
};
use anybroker_conformance::history::{Deduplication, Drained, Event, Header, LossPromise, Nothing, Promises};
use anybroker_conformance::properties::{Property, Verdict};
use anybroker_conformance::recorder::Recorder;

async fn open(name: &str) -> (Broker, Broker, Arc<Recorder>) {
    let broker = anybroker::connect(&format!("memory://{name}")).await.unwrap();
    let promises = Promises { p3: Some(LossPromise::default()), ..Promises::default() };
    let recorder = Recorder::new(&Header::new("memory", promises)).unwrap();
    (broker.clone(), recorder.wrap(broker), recorder)
}

/// A member of the group comes and goes, so that the group exists.
async fn visit(broker: &Broker, topic: &Topic, group: &Group) {
    let consumer = broker.consumer(Subscription::new(topic.clone(), group.clone())).await.unwrap();
    consumer.close().await.unwrap();
}

/// The message is purged behind the recorder's back: that is a loss, and must be seen as one.
async fn is_seen(broker: &Broker, recorder: &Recorder, topic: &Topic) {
    broker.admin().purge(topic).await.unwrap();
    recorder.record(&Event::Drained(Drained { group: "g".into(), topic: topic.as_str().into() }));
    let report = recorder.check().unwrap();
    assert_eq!(report.properties[&Property::P3].verdict, Verdict::Violation, "{report}");
}

#[tokio::test]
async fn a_loss_is_seen_though_nobody_awaited_the_confirmation() {
    let (broker, recorded, recorder) = open("unawaited").await;
    let (topic, group) = (Topic::new("t").unwrap(), Group::new("g").unwrap());
    visit(&recorded, &topic, &group).await;
    let publisher = recorded.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    let permit = publisher.ready(1, 1).await.unwrap();
    drop(publisher.enqueue(permit, vec![Message::new("x")]));
    // The in-memory broker confirms at once; a second message's outcome comes after it.
    publisher.publish(Message::new("y")).await.unwrap();
    is_seen(&broker, &recorder, &topic).await;
    assert!(String::from_utf8_lossy(&recorder.history()).matches("\"published\"").count() == 2);
}

#[tokio::test]
async fn a_loss_is_seen_on_a_second_topic_of_the_same_group_name() {
    let (broker, recorded, recorder) = open("two-topics").await;
    let (first, second) = (Topic::new("t1").unwrap(), Topic::new("t2").unwrap());
    let group = Group::new("g").unwrap();
    visit(&recorded, &first, &group).await;
    let publisher = recorded.publisher(PublisherOptions::new(second.clone())).await.unwrap();
    publisher.publish(Message::new("x")).await.unwrap();
    broker.admin().purge(&second).await.unwrap();
    visit(&recorded, &second, &group).await;
    is_seen(&broker, &recorder, &second).await;
}

#[tokio::test]
async fn what_is_published_again_is_seen_stored_twice_unless_the_broker_deduplicates() {
    for (url, verdict) in
        [("memory://twice", Verdict::Violation), ("memory://once?deduplication=1m", Verdict::Pass)]
    {
        let broker = anybroker::connect(url).await.unwrap();
        let promises = Promises {
            p3: Some(LossPromise::default()),
            p5: Some(Nothing {}),
            p11: Some(Deduplication { window_ms: 60_000 }),
            p16: Some(Default::default()),
            ..Promises::default()
        };
        let recorder = Recorder::new(&Header::new("memory", promises)).unwrap();
        let recorded = recorder.wrap(broker);
        let (topic, group) = (Topic::new("t").unwrap(), Group::new("g").unwrap());
        visit(&recorded, &topic, &group).await;
        for _ in 0..2 {
            let publisher = recorded.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
            publisher.publish(Message::new("x").with_id("m").with_key("k")).await.unwrap();
        }
        let mut consumer = recorded.consumer(Subscription::new(topic.clone(), group)).await.unwrap();
        let most = if verdict == Verdict::Pass { 1 } else { 2 };
        for _ in 0..most {
            consumer.next().await.unwrap().ack().await.unwrap();
        }
        consumer.close().await.unwrap();
        recorder.record(&Event::Drained(Drained { group: "g".into(), topic: "t".into() }));
        let report = recorder.check().unwrap();
        assert_eq!(report.properties[&Property::P11].verdict, verdict, "{report}");
        for other in [Property::P3, Property::P5, Property::P16] {
            assert_eq!(report.properties[&other].verdict, Verdict::Pass, "{report}");
        }
    }
}

/// Three messages are received, a handler begins with one, and the worker ends: one was delivered.
#[tokio::test]
async fn what_a_worker_receives_counts_when_a_handler_begins_with_it() {
    let (broker, recorded, recorder) = open("begun").await;
    let (topic, group) = (Topic::new("t").unwrap(), Group::new("g").unwrap());
    visit(&recorded, &topic, &group).await;
    let publisher = recorded.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    for id in ["first", "second", "third"] {
        publisher.publish(Message::new("x").with_id(id).with_key("k")).await.unwrap();
    }
    let (begun, begins) = recorder.wrap_for_workers(broker);
    let (seen, mut sees) = tokio::sync::mpsc::channel(1);
    let handler = tower::service_fn(move |delivery: anybroker::Delivery| {
        let seen = seen.clone();
        async move {
            seen.send(delivery.id()).await.unwrap();
            Err::<(), _>(std::io::Error::other("not this time"))
        }
    });
    let later = Retry::default().immediate(0).backoff(Duration::from_secs(60), Duration::from_secs(60));
    let worker = Worker::builder(begun).observe(begins).handling(Handling::default().retry(later));
    let worker = worker.subscribe(Subscription::new(topic, group), handler).build().unwrap();
    worker
        .run_until(async move { assert_eq!(sees.recv().await.unwrap(), Some("first".into())) })
        .await
        .unwrap();
    let history = String::from_utf8(recorder.history()).unwrap();
    let lines =
        |kind: &str| history.lines().filter(|line| line.contains(&format!("\"e\":\"{kind}\""))).count();
    assert_eq!(["deliver", "assign", "settle", "settled"].map(lines), [1, 1, 1, 1], "{history}");
    assert!(history.contains("nack") && recorder.check().is_ok(), "{history}");
}

/// A dead letter is refused, and its message then acknowledged: the history reads, with one outcome of it.
#[tokio::test]
async fn what_is_settled_once_more_has_one_outcome() {
    let (broker, recorded, recorder) = open("once-more").await;
    let (topic, group) = (Topic::new("t").unwrap(), Group::new("g").unwrap());
    let dead = Topic::new("dead").unwrap();
    let publisher = recorded.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    let policy = DeadLetterPolicy { topic: dead.clone(), max_attempts: None };
    let subscription = Subscription::new(topic, group).dead_letter(policy);
    let mut consumer = recorded.consumer(subscription).await.unwrap();
    publisher.publish(Message::new("x").with_key("k")).await.unwrap();
    broker.admin().delete(&dead).await.unwrap();
    let refused = consumer.next().await.unwrap().dead_letter("no").await.unwrap_err();
    let (_, delivery) = refused.into_parts();
    delivery.ack().await.unwrap();
    let history = String::from_utf8(recorder.history()).unwrap();
    assert_eq!(history.matches("\"settled\"").count(), 1, "{history}");
    recorder.check().unwrap();
}

#[tokio::test]
async fn sentinels_are_told_by_their_ids() {
    let (_, recorded, recorder) = open("sentinels").await;
    let publisher = recorded.publisher(PublisherOptions::new(Topic::new("t").unwrap())).await.unwrap();
    for id in ["sentinel-1", "m1"] {
        publisher.publish(Message::new("x").with_id(id)).await.unwrap();
    }
    let history = String::from_utf8(recorder.history()).unwrap();
    let sentinels: Vec<_> = history.lines().filter(|line| line.contains("\"sentinel\":true")).collect();
    assert!(sentinels.len() == 1 && sentinels[0].contains("sentinel-1"), "{history}");
}

#[tokio::test]
async fn a_fault_waits_until_it_finds_something_in_flight() {
    let (_, recorded, recorder) = open("in-flight").await;
    let (topic, group) = (Topic::new("t").unwrap(), Group::new("g").unwrap());
    let publisher = recorded.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    let mut consumer = recorded.consumer(Subscription::new(topic, group)).await.unwrap();
    let mut fault = std::pin::pin!(recorder.fault_in_flight("cut", "memory", 3));
    for at in 0..3 {
        assert!(futures::poll!(&mut fault).is_pending());
        publisher.publish(Message::new(format!("{at}"))).await.unwrap();
    }
    let mut held = Vec::new();
    while held.len() < 3 {
        held.extend(consumer.receive(3).await.unwrap());
    }
    fault.await;
    assert_eq!(recorder.in_flight(), 3);
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    assert_eq!(recorder.in_flight(), 0);
    consumer.close().await.unwrap();
}
