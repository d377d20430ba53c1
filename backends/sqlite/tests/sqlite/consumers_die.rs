//! A consumer's process is killed or stopped with messages in hand.

use std::time::Duration;

use anybroker_core::{Broker, DeadLetterPolicy, PublisherExt as _, Topic};
use rustix::process::Signal;

use crate::process::{Process, tell};
use crate::support::{Place, id, messages, open, publisher, subscription, take};

/// Takes three messages, acknowledges the first, and holds the others for ever.
pub(crate) async fn hold_some(url: &str) {
    let broker = open(url).await.unwrap();
    let mut consumer = broker.consumer(subscription()).await.unwrap();
    let mut taken = take(&mut consumer, 3).await;
    taken.remove(0).ack().await.unwrap();
    tell("holding");
    let acknowledge = async {
        // Whoever sends it a signal to go on wants to know whether it may still acknowledge.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let held = taken.pop().unwrap();
        tell(if held.ack().await.is_ok() { "acknowledged" } else { "refused" });
    };
    acknowledge.await;
    std::future::pending::<()>().await;
}

async fn members(broker: &Broker) -> Option<u32> {
    broker.admin().groups(&subscription().topic).await.unwrap()[0].members
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_member_held_counts_as_attempted_and_nothing_else_does() {
    let place = Place::new();
    let broker = place.open("partitions=1").await;
    publisher(&broker).await.publish_batch(messages(0, 10)).await;
    for death in 0..3 {
        let mut process = Process::start("hold", &place.url(""));
        assert_eq!(process.line().as_deref(), Some("holding"), "death {death}");
        assert_eq!(members(&broker).await, Some(1));
        process.kill();
        // Nobody has struck it off yet.
        assert_eq!(members(&broker).await, Some(0));
    }
    // Three deaths: m0, m1 and m2 were acknowledged; m2 to m4 were held, m3 by two and m4 by one before it.
    let mut consumer = broker.consumer(subscription()).await.unwrap();
    let taken = take(&mut consumer, 7).await;
    let attempts: Vec<_> = taken.iter().map(|delivery| (id(delivery), delivery.attempt())).collect();
    let expected = [("m3", 3), ("m4", 2), ("m5", 1), ("m6", 1), ("m7", 1), ("m8", 1), ("m9", 1)];
    assert_eq!(attempts, expected.map(|(id, attempt)| (id.to_owned(), attempt)));
    assert!(taken[0].redelivered() && !taken[2].redelivered());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kills_its_process_is_given_up() {
    let place = Place::new();
    let broker = place.open("partitions=1").await;
    publisher(&broker).await.publish_batch(messages(0, 10)).await;
    for _ in 0..2 {
        let mut process = Process::start("hold", &place.url(""));
        assert_eq!(process.line().as_deref(), Some("holding"));
        process.kill();
    }
    let dead = Topic::new("orders-dead").unwrap();
    let policy = DeadLetterPolicy { topic: dead.clone(), max_attempts: Some(2) };
    let mut consumer = broker.consumer(subscription().dead_letter(policy)).await.unwrap();
    // m0 and m1 were acknowledged; m2 was in hand at both deaths.
    assert_eq!(id(&take(&mut consumer, 1).await[0]), "m3");
    let letters = anybroker_core::Subscription::new(dead, anybroker_core::Group::new("reader").unwrap());
    let mut letters = broker.consumer(letters).await.unwrap();
    assert_eq!(id(&take(&mut letters, 1).await[0]), "m2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_is_noticed_at_once() {
    let place = Place::new();
    let broker = place.open("partitions=1").await;
    publisher(&broker).await.publish_batch(messages(0, 10)).await;
    let mut process = Process::start("hold", &place.url(""));
    assert_eq!(process.line().as_deref(), Some("holding"));
    let mut consumer = broker.consumer(subscription()).await.unwrap();
    let waiting = tokio::spawn(async move { take(&mut consumer, 1).await.remove(0).position() });
    let began = std::time::Instant::now();
    process.kill();
    assert_eq!(waiting.await.unwrap().unwrap().offset, 1);
    assert!(began.elapsed() < Duration::from_millis(900), "it took {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_member_keeps_what_it_has() {
    let place = Place::new();
    let broker = place.open("partitions=1").await;
    publisher(&broker).await.publish_batch(messages(0, 10)).await;
    let mut process = Process::start("hold", &place.url(""));
    assert_eq!(process.line().as_deref(), Some("holding"));
    process.signal(Signal::STOP);
    let mut consumer = broker.consumer(subscription()).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_secs(4), consumer.receive(1)).await;
    assert!(nothing.is_err(), "a stopped member lost its partition: {nothing:?}");
    process.signal(Signal::CONT);
    assert_eq!(process.line().as_deref(), Some("acknowledged"));
    drop(process);
    assert_eq!(id(&take(&mut consumer, 1).await[0]), "m1");
}
