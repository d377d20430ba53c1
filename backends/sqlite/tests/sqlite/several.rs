//! Several processes and several brokers of one process at one file.

use std::collections::HashMap;

use anybroker_core::{ConsumerExt as _, Message, PublisherExt as _};

use crate::process::{Process, tell};
use crate::support::{Place, id, messages, open, publisher, subscription, take, topic};

/// Acknowledges what comes, one after the other, and tells of it first.
pub(crate) async fn acknowledge_for_ever(url: &str) {
    let broker = open(url).await.unwrap();
    let mut consumer = broker.consumer(subscription()).await.unwrap();
    tell("joined");
    loop {
        let delivery = consumer.next().await.unwrap();
        tell(&format!("{} {}", id(&delivery), delivery.position().unwrap().partition));
        delivery.ack().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_a_group_without_overlap() {
    let place = Place::new();
    let broker = place.open("partitions=4").await;
    let url = place.url("");
    let mut processes: Vec<_> = (0..2).map(|_| Process::start("acknowledge", &url)).collect();
    for process in &mut processes {
        assert_eq!(process.line().as_deref(), Some("joined"));
    }
    let count = 400;
    let all = (0..count).map(|at| Message::new("").with_id(format!("m{at}")).with_key(format!("k{at}")));
    for outcome in publisher(&broker).await.publish_batch(all.collect()).await {
        outcome.unwrap();
    }
    while broker.admin().backlog(&topic(), &subscription().group).await.unwrap() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    let told: Vec<_> = processes.into_iter().map(Process::kill).collect();
    for line in told.iter().flatten() {
        *seen.entry(line.split_once(' ').unwrap().0.to_owned()).or_default() += 1;
    }
    assert_eq!(seen.len(), count);
    // A hand-over drains first, and nobody died or failed: nothing comes twice.
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    assert!(told.iter().all(|lines| !lines.is_empty()), "one of them did nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_brokers_of_one_process_share_the_file() {
    let place = Place::new();
    let (one, two) = (place.open("").await, place.open("sync=normal").await);
    publisher(&one).await.publish_batch(messages(0, 3)).await;
    let mut consumer = two.consumer(subscription()).await.unwrap();
    let taken = take(&mut consumer, 3).await;
    for delivery in taken {
        delivery.ack().await.unwrap();
    }
    one.close().await.unwrap();
    publisher(&two).await.publish_batch(messages(3, 4)).await;
    assert_eq!(id(&take(&mut consumer, 1).await[0]), "m3");
    consumer.close().await.unwrap();
    two.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_show_members_and_lag() {
    let place = Place::new();
    let broker = place.open("partitions=2").await;
    publisher(&broker).await.publish_batch(messages(0, 5)).await;
    let mut consumer = broker.consumer(subscription()).await.unwrap();
    take(&mut consumer, 2).await.remove(1).ack().await.unwrap();
    let groups = broker.admin().groups(&topic()).await.unwrap();
    assert_eq!((groups[0].group.as_str(), groups[0].members), ("billing", Some(1)));
    assert_eq!((groups[0].backlog(), groups[0].partitions.len()), (4, 2));
    consumer.close().await.unwrap();
    assert_eq!(broker.admin().groups(&topic()).await.unwrap()[0].members, Some(0));
}
