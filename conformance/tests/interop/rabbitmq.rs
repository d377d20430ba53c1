//! RabbitMQ, by pika.

use std::collections::HashMap;

use anybroker::{BrokerUrl, Message, PublisherExt as _};
use serde_json::Value;

use crate::Outcome;
use crate::letter::{Letter, Octets, same};
use crate::stage::{Stage, next};
use crate::target::Target;

const QUEUES: u32 = 4;
const KEYS: usize = 20;
const MESSAGES: usize = 400;

/// A group with one queue.
pub(crate) const ONE_QUEUE: Target = Target {
    name: "rabbitmq-one-queue",
    process: "rabbitmq",
    parameters: "",
    program: "rabbitmq.py",
    address,
    source: |topic, group, count| vec![count.to_string(), format!("{topic}:{group}")],
    keeps_order_of_headers: false,
    cannot: &[],
    gives_an_id: false,
    keeps_partition_key: false,
    modes: &["amqp", "rabbitmq", "structured"],
    own: &[],
};

/// A group whose keys are spread over queues.
pub(crate) const PARTITIONS: Target = Target {
    name: "rabbitmq",
    parameters: "partitions=4",
    source: |topic, group, count| {
        let queues = (0..QUEUES).map(|number| format!("{topic}:{group}:{number}"));
        [count.to_string()].into_iter().chain(queues).collect()
    },
    own: &[
        ("slots", |stage| Box::pin(slots(stage))),
        ("order_per_key", |stage| Box::pin(order_per_key(stage))),
    ],
    ..ONE_QUEUE
};

fn address(url: &BrokerUrl) -> Vec<String> {
    let user = url.user.as_deref().unwrap_or("guest");
    let password = url.password.as_ref().map_or("guest", |password| password.expose());
    // pika's URLs name the virtual host `/` so.
    vec![format!("amqp://{user}:{password}@{}/%2f", url.addresses(5672).join(","))]
}

fn key(n: usize) -> String {
    format!("order-{}", n % KEYS)
}

fn letter(n: usize) -> Value {
    serde_json::to_value(Letter::plain(n.to_string()).key(key(n))).unwrap()
}

/// A key is in the same queue, whoever published it.
async fn slots(stage: &Stage) -> Outcome {
    let publisher = stage.publisher().await?;
    let mut python = stage.python_publisher()?;
    for n in 0..KEYS {
        publisher.publish(Message::new("anybroker").with_key(key(n))).await?;
        python.ask(&letter(n)).await?;
    }
    python.end().await?;
    publisher.close().await?;
    let mut reader = stage.python_consumer(&stage.topic, 2 * KEYS)?;
    let mut queues: HashMap<Vec<u8>, Vec<String>> = HashMap::new();
    for _ in 0..2 * KEYS {
        let line = reader.hear().await?;
        let key: Octets = serde_json::from_value(line["key"].clone())?;
        queues.entry(key.0).or_default().push(line["queue"].to_string());
    }
    reader.end().await?;
    for (key, queues) in &queues {
        same(&format!("the queues of {}", key.escape_ascii()), &queues[0], &queues[1])?;
    }
    let used: std::collections::HashSet<_> = queues.values().flatten().collect();
    same("queues that have messages", QUEUES as usize, used.len())?;
    Ok(format!("{KEYS} keys, each in one of {QUEUES} queues, whoever published it"))
}

/// What Python publishes, several members of a group get in order per key.
async fn order_per_key(stage: &Stage) -> Outcome {
    let mut members = [stage.consumer().await?, stage.consumer().await?];
    let mut python = stage.python_publisher()?;
    for n in 0..MESSAGES {
        python.ask(&letter(n)).await?;
    }
    python.end().await?;
    let mut last: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut shares = [0, 0];
    let [one, other] = &mut members;
    for _ in 0..MESSAGES {
        let (member, delivery) = tokio::select! {
            delivery = next(one) => (0, delivery?),
            delivery = next(other) => (1, delivery?),
        };
        shares[member] += 1;
        let n: usize = std::str::from_utf8(delivery.payload())?.parse()?;
        let key = delivery.key().ok_or("every message has a key")?.to_vec();
        let before = last.insert(key, n);
        if before.is_some_and(|before| before > n) {
            return Err(format!("message {n} came after {before:?} of its key").into());
        }
        delivery.ack().await?;
    }
    for member in members {
        member.close().await?;
    }
    same("keys", KEYS, last.len())?;
    Ok(format!(
        "{MESSAGES} messages of {KEYS} keys in order; the members had {} and {}",
        shares[0], shares[1]
    ))
}
