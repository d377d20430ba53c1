//! NATS JetStream, by nats-py.

use std::collections::HashMap;

use anybroker::{Message, PublisherExt as _};

use crate::Outcome;
use crate::letter::{Letter, Octets, same};
use crate::stage::Stage;
use crate::target::Target;

const KEYS: usize = 20;

pub(crate) const TARGET: Target = Target {
    name: "nats",
    process: "nats",
    parameters: "partitions=4",
    program: "jetstream.py",
    address: |url| vec![format!("nats://{}", url.addresses(4222).join(","))],
    source: |topic, group, count| vec![topic.to_string(), group.to_string(), count.to_string()],
    keeps_order_of_headers: false,
    cannot: &["a repeated header"],
    gives_an_id: false,
    keeps_partition_key: false,
    modes: &["binary", "structured"],
    own: &[("partitions", |stage| Box::pin(partitions(stage)))],
};

/// A key has the same subject, whoever published it.
async fn partitions(stage: &Stage) -> Outcome {
    let publisher = stage.publisher().await?;
    let mut python = stage.python_publisher()?;
    for n in 0..KEYS {
        let key = format!("order-{n}");
        publisher.publish(Message::new("anybroker").with_key(key.as_str())).await?;
        python.ask(&serde_json::to_value(Letter::plain("python").key(key))?).await?;
    }
    python.end().await?;
    publisher.close().await?;
    let mut reader = stage.python_consumer(&stage.topic, 2 * KEYS)?;
    let mut subjects: HashMap<Vec<u8>, Vec<String>> = HashMap::new();
    for _ in 0..2 * KEYS {
        let line = reader.hear().await?;
        let key: Octets = serde_json::from_value(line["key"].clone())?;
        subjects.entry(key.0).or_default().push(line["subject"].to_string());
    }
    reader.end().await?;
    for (key, subjects) in &subjects {
        same(&format!("the subjects of {}", key.escape_ascii()), &subjects[0], &subjects[1])?;
    }
    let used: std::collections::HashSet<_> = subjects.values().flatten().collect();
    same("subjects that have messages", 4, used.len())?;
    Ok(format!("{KEYS} keys, each in one of 4 subjects, whoever published it"))
}
