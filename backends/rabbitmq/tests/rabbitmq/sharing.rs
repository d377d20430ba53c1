use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anybroker_core::{Broker, Consumer, Message, PublisherExt, Topic};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::*;

const PARTITIONS: u32 = 6;
const KEYS: usize = 60;

/// Who received what, in order: (member, partition, key, number).
type Log = Arc<Mutex<Vec<(usize, u32, String, usize)>>>;

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A member that takes what comes until it is told to stop, and leaves in good order.
fn member(mut consumer: Box<dyn Consumer>, name: usize, log: Log) -> Running {
    let (stop, mut stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        loop {
            let batch = tokio::select! {
                batch = consumer.receive(20) => batch.unwrap(),
                _ = &mut stopped => break,
            };
            for delivery in batch {
                let key = String::from_utf8_lossy(delivery.key().unwrap()).into_owned();
                let entry = (name, delivery.token().partition, key, text(&delivery).parse().unwrap());
                // What was taken away meanwhile is somebody else's.
                if delivery.ack().await.is_ok() {
                    log.lock().unwrap().push(entry);
                }
            }
        }
        consumer.close().await.unwrap();
    });
    Running { stop, task }
}

async fn leave(member: Running) {
    let _ = member.stop.send(());
    member.task.await.unwrap();
}

/// Publishes round the keys until it is stopped; returns how many of each key.
fn publishing(broker: Broker, topic: Topic, mut stopped: oneshot::Receiver<()>) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let publisher = publisher(&broker, &topic).await;
        let mut round = 0;
        while stopped.try_recv().is_err() {
            let batch =
                (0..KEYS).map(|k| Message::new(round.to_string()).with_key(format!("key-{k}"))).collect();
            for outcome in publisher.publish_batch(batch).await {
                outcome.unwrap();
            }
            round += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        round
    })
}

/// Waits until, over the last second, no member received from more than `most` partitions, and all were served.
async fn shared(log: &Log, members: usize, most: usize) {
    let started = Instant::now();
    loop {
        let from = log.lock().unwrap().len();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut seen: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
        for (member, partition, ..) in &log.lock().unwrap()[from..] {
            seen.entry(*member).or_default().insert(*partition);
        }
        let served: BTreeSet<_> = seen.values().flatten().collect();
        if seen.values().all(|held| held.len() <= most) && served.len() == PARTITIONS as usize {
            eprintln!("{members} members: {seen:?} after {:?}", started.elapsed());
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{members} members: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_partitions_as_they_come_and_go() {
    on_servers(&format!("?partitions={PARTITIONS}"), async |broker, _| {
        let topic = declared(&broker, "share", None).await;
        let log = Log::default();
        let (stop, stopped) = oneshot::channel();
        let publishing = publishing(broker.clone(), topic.clone(), stopped);
        let join = async |name| member(consumer(&broker, &topic).await, name, log.clone());
        let first = join(1).await;
        shared(&log, 1, 6).await;
        let second = join(2).await;
        shared(&log, 2, 3).await;
        let third = join(3).await;
        shared(&log, 3, 2).await;
        leave(first).await;
        shared(&log, 2, 3).await;
        // As a crash leaves: nothing is settled, nothing is closed by the application.
        second.task.abort();
        shared(&log, 1, 6).await;
        let fourth = join(4).await;
        shared(&log, 2, 3).await;
        let _ = stop.send(());
        let rounds = publishing.await.unwrap();
        complete(&log, rounds).await;
        leave(third).await;
        leave(fourth).await;
        in_order(&log, rounds);
        clean(&broker, &topic).await;
    })
    .await;
}

async fn complete(log: &Log, rounds: usize) {
    let started = Instant::now();
    loop {
        let distinct: BTreeSet<_> =
            log.lock().unwrap().iter().map(|(_, _, key, n)| (key.clone(), *n)).collect();
        if distinct.len() == rounds * KEYS {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{} of {}", distinct.len(), rounds * KEYS);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The first time each message of a key was done comes in the order of publishing.
fn in_order(log: &Log, rounds: usize) {
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for (member, partition, key, number) in log.lock().unwrap().iter() {
        let next = next.entry(key.clone()).or_default();
        assert!(number <= next, "{key}: {number} before {next} (member {member}, partition {partition})");
        *next = (*next).max(number + 1);
    }
    assert!(next.values().all(|next| *next == rounds));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_out_without_any_messages() {
    on_servers(&format!("?partitions={PARTITIONS}"), async |broker, _| {
        let topic = declared(&broker, "idle", None).await;
        let log = Log::default();
        let mut members = Vec::new();
        for name in 0..3 {
            members.push(member(consumer(&broker, &topic).await, name, log.clone()));
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        let publisher = publisher(&broker, &topic).await;
        publish(&publisher, (0..KEYS).map(|key| (format!("key-{key}"), "0".to_owned()))).await;
        complete(&log, 1).await;
        let mut seen: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
        for (member, partition, ..) in log.lock().unwrap().iter() {
            seen.entry(*member).or_default().insert(*partition);
        }
        assert!(seen.values().all(|held| held.len() <= 3), "{seen:?}");
        for member in members {
            leave(member).await;
        }
        clean(&broker, &topic).await;
    })
    .await;
}

/// Another program knows nothing of slots: its messages come all the same, in order, by the first partition.
#[tokio::test(flavor = "multi_thread")]
async fn other_programs_messages_reach_a_group_with_partitions() {
    on_servers(&format!("?partitions={PARTITIONS}"), async |broker, url| {
        let topic = declared(&broker, "others", None).await;
        let url = url.replace("/?partitions=6", "/%2f");
        let connection = lapin::Connection::connect(&url, Default::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        for n in 0..10 {
            let (exchange, key) = (topic.as_str().into(), "order-7".into());
            let payload = n.to_string();
            let sent = channel.basic_publish(
                exchange,
                key,
                Default::default(),
                payload.as_bytes(),
                Default::default(),
            );
            sent.await.unwrap().await.unwrap();
        }
        let mut consumer = consumer(&broker, &topic).await;
        let deliveries = receive(&mut consumer, 10).await;
        assert_eq!(texts(&deliveries), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
        assert!(deliveries.iter().all(|d| d.key() == Some(b"order-7") && d.token().partition == 0));
        drop(deliveries);
        consumer.close().await.unwrap();
        clean(&broker, &topic).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_up_opening_keeps_no_partition() {
    on_servers("", async |broker, _| {
        let topic = declared(&broker, "gave-up", Some(4)).await;
        let publisher = publisher(&broker, &topic).await;
        publish(&publisher, (0..40).map(|n| (format!("key-{n}"), n.to_string()))).await;
        for patience in (0..80).step_by(4).map(Duration::from_millis) {
            // Some are cancelled in the middle, and the last ones open and are dropped.
            let _ = tokio::time::timeout(patience, broker.consumer(subscription(&topic))).await;
        }
        let mut consumer = consumer(&broker, &topic).await;
        let all: BTreeSet<_> = receive(&mut consumer, 40).await.iter().map(text).collect();
        assert_eq!(all.len(), 40);
        consumer.close().await.unwrap();
        clean(&broker, &topic).await;
    })
    .await;
}
