//! Handlers see the payload; what cannot be fetched is a dead letter.

use std::time::Duration;

use anybroker_core::{
    ConsumerExt as _, DeadLetterPolicy, Event, Group, Message, PublisherExt as _, Subscription, Topic,
};
use anybroker_worker::{Failure, Router, State, Worker};
use tokio::sync::mpsc;
use tower::ServiceBuilder;

use super::{files, in_files, memory, publisher, topic};

#[derive(serde::Serialize, serde::Deserialize)]
struct Scan {
    pixels: String,
}

impl Event for Scan {
    const TYPE: &'static str = "scan.made";
}

async fn archive(scan: Scan, State(archived): State<mpsc::Sender<usize>>) -> Result<(), Failure> {
    archived.send(scan.pixels.len()).await?;
    Ok(())
}

#[tokio::test]
async fn handlers_see_the_payload_and_a_missing_blob_is_a_dead_letter() {
    let (claims, directory) = in_files();
    let broker = memory().await;
    let publisher = publisher(&broker).await;
    let scan = |pixels| Message::event(&Scan { pixels: "x".repeat(pixels) }).unwrap();
    claims.publish(&*publisher, scan(70_000).with_id("missing").with_key("k")).await.unwrap();
    files(directory.path()).iter().for_each(|blob| std::fs::remove_file(blob).unwrap());
    claims.publish(&*publisher, scan(80_000).with_key("k")).await.unwrap();
    publisher.publish(scan(10).with_key("k")).await.unwrap();

    let dead = Topic::new("scans-dead").unwrap();
    let subscription = Subscription::new(topic(), Group::new("archive").unwrap())
        .dead_letter(DeadLetterPolicy { topic: dead.clone(), max_attempts: None });
    let (archived, mut seen) = mpsc::channel::<usize>(10);
    let handler = ServiceBuilder::new().layer(claims).service(Router::new().on(archive));
    let worker =
        Worker::builder(broker.clone()).state(archived).subscribe(subscription, handler).build().unwrap();
    let until = async {
        assert_eq!(seen.recv().await, Some(80_000));
        assert_eq!(seen.recv().await, Some(10));
    };
    tokio::time::timeout(Duration::from_secs(20), worker.run_until(until)).await.unwrap().unwrap();

    let mut dead = broker.consumer(Subscription::new(dead, Group::new("people").unwrap())).await.unwrap();
    let letter = dead.next().await.unwrap();
    let reference = letter.extensions().find(|(name, _)| *name == "dataref");
    assert!(reference.is_some(), "the dead letter lost the reference: {:?}", letter.to_message());
}
