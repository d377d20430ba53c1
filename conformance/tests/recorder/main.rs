//! The recorder leaves nothing out that a loss would show in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::sync::Arc;

use anybroker::{Broker, Group, Message, PublisherExt, PublisherOptions, Subscription, Topic};
use anybroker_conformance::history::{Drained, Event, Header, LossPromise, Promises};
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
