use std::process::{Command, Stdio};

use anybroker_core::{Broker, DeadLetterPolicy, Group, Subscription, Topic, Topology};

use crate::support::*;

/// The message that kills its process.
const POISON: u32 = 3;
/// Names the topic, dead letter topic and group of the process that is to die.
const DOOMED: &str = "ANYBROKER_TEST_DOOMED";

fn subscription(topic: &str, dead: &str, group: &str) -> Subscription {
    let policy = DeadLetterPolicy { topic: Topic::new(dead).unwrap(), max_attempts: Some(3) };
    Subscription::new(Topic::new(topic).unwrap(), Group::new(group).unwrap()).dead_letter(policy)
}

async fn patient() -> Broker {
    // The shortest session that a broker allows by default: so long does a group wait for a dead member.
    connect("session_timeout=6s").await
}

/// Consumes until the poison kills it, or until message 5 is done.
async fn work(subscription: Subscription) {
    let broker = patient().await;
    let mut consumer = broker.consumer(subscription).await.unwrap();
    loop {
        let delivery = next(&mut consumer).await;
        if number(&delivery) == POISON {
            std::process::abort();
        }
        if ack(delivery).await == 5 {
            return consumer.close().await.unwrap();
        }
    }
}

/// What the child process runs; by itself it does nothing.
#[tokio::test]
async fn doomed() {
    let Ok(names) = std::env::var(DOOMED) else { return };
    let names: Vec<_> = names.split(' ').collect();
    work(subscription(names[0], names[1], names[2])).await;
}

#[tokio::test]
async fn a_message_that_kills_its_process_is_counted_and_dead_lettered() {
    let broker = patient().await;
    let topic = topic(&broker, 1).await;
    let dead = Topic::new(unique("dead")).unwrap();
    broker.admin().declare(&Topology::new(dead.clone()).partitions(1)).await.unwrap();
    let group = group();
    publish(&broker, &topic, "k", 0..6).await;

    let mut deaths = 0;
    let done = loop {
        let names = format!("{topic} {dead} {group}");
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "poison::doomed"])
            .env(DOOMED, names)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let status = tokio::task::spawn_blocking(move || child.status()).await.unwrap().unwrap();
        if status.success() {
            break deaths;
        }
        deaths += 1;
        assert!(deaths < 6, "the message kills its process for ever");
    };
    assert!((2..=4).contains(&done), "{done} deaths");

    let mut letters = consumer(&broker, &dead, &group).await;
    let letter = next(&mut letters).await;
    assert_eq!(number(&letter), POISON);
    assert_eq!(letter.header("dead-letter-topic"), Some(topic.as_str().as_bytes()));
    letter.ack().await.unwrap();
    assert!(next_if_any(&mut letters).await.is_none(), "only the poison is dead-lettered");
    letters.close().await.unwrap();
}
