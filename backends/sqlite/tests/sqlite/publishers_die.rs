//! A publisher's process is killed at random instants: what was confirmed is there, once, in order.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anybroker_core::{Message, PublisherExt as _, Settlement, Start};

use crate::process::{Process, tell};
use crate::support::{Place, integrity, open, publisher, subscription, topic};

const DEATHS: usize = 30;
const KEYS: usize = 7;

/// Publishes batches for ever, and tells of every confirmed message.
pub(crate) async fn publish_for_ever(url: &str) {
    let broker = open(url).await.unwrap();
    let publisher = publisher(&broker).await;
    let run = std::process::id();
    for batch in 0.. {
        let messages: Vec<_> = (0..20)
            .map(|at| {
                let number = batch * 20 + at;
                let message = Message::new(format!("{number}")).with_id(format!("{run}-{number}"));
                message.with_key(format!("{run}-{}", number % KEYS))
            })
            .collect();
        let ids: Vec<_> = messages.iter().map(|message| message.id.to_string()).collect();
        for (id, outcome) in ids.iter().zip(publisher.publish_batch(messages).await) {
            let position = outcome.unwrap().position.unwrap();
            tell(&format!("{id} {}/{}", position.partition, position.offset));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_confirmed_is_lost_when_publishers_are_killed() {
    let place = Place::new();
    let url = place.url("partitions=3");
    let mut confirmed = BTreeMap::new();
    let mut seed = u64::from(std::process::id());
    for _ in 0..DEATHS {
        let mut process = Process::start("publish", &url);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut lines: Vec<_> = (0..1 + (seed >> 33) % 60).filter_map(|_| process.line()).collect();
        std::thread::sleep(Duration::from_micros((seed >> 20) % 3_000));
        lines.extend(process.kill());
        // The last line may have been cut off by the death.
        for line in lines {
            if let Some((id, position)) = line.split_once(' ').filter(|(_, position)| position.contains('/'))
            {
                confirmed.insert(id.to_owned(), position.to_owned());
            }
        }
        assert_eq!(integrity(&place.path()), "ok");
    }
    let stored = everything(&url).await;
    let ids: HashSet<_> = stored.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(ids.len(), stored.len(), "a message is there twice");
    for (id, position) in &confirmed {
        let found = stored.iter().find(|(stored, ..)| stored == id);
        let (_, at, _) = found.unwrap_or_else(|| panic!("{id} was confirmed and is missing"));
        assert!(at.starts_with(position.as_str()), "{id} was confirmed at {position} and is at {at}");
    }
    assert_in_order(&stored);
    assert!(confirmed.len() >= DEATHS, "only {} were confirmed", confirmed.len());
}

/// Every message with its position and number, as a new group receives them.
async fn everything(url: &str) -> Vec<(String, String, usize)> {
    let broker = open(url).await.unwrap();
    let group = subscription();
    let mut consumer = broker.consumer(group.clone().start(Start::Earliest)).await.unwrap();
    let left = broker.admin().backlog(&topic(), &group.group).await.unwrap();
    let mut all = Vec::new();
    while (all.len() as u64) < left {
        let batch = consumer.receive(1_000).await.unwrap();
        for delivery in &batch {
            let position = delivery.position().unwrap();
            let number = std::str::from_utf8(delivery.payload()).unwrap().parse().unwrap();
            let id = delivery.id().unwrap().to_string();
            all.push((id, format!("{}/{}", position.partition, position.offset), number));
        }
        consumer.settler().settle(batch.into_iter().map(Settlement::ack).collect()).await;
    }
    consumer.close().await.unwrap();
    broker.close().await.unwrap();
    all
}

/// Numbers of a run and key rise, without gaps, as far as they go: batches are stored whole or not at all.
fn assert_in_order(stored: &[(String, String, usize)]) {
    let mut next: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    for (id, _, number) in stored {
        let run = id.split_once('-').unwrap().0;
        let expected = next.entry((run, number % KEYS)).or_insert(number % KEYS);
        assert_eq!(number, expected, "of run {run}");
        *expected += KEYS;
    }
}
