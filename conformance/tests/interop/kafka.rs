//! Kafka, by confluent-kafka.

use anybroker::{Delivery, Message, PublisherExt as _};
use serde_json::json;

use crate::letter::{Letter, same};
use crate::stage::{Stage, next};
use crate::target::Target;
use crate::{Failure, Outcome};

const PARTITIONS: i32 = 6;
/// How many messages the member in Python handles before it leaves.
const THEIRS: usize = 30;

pub(crate) const TARGET: Target = Target {
    name: "kafka",
    process: "kafka",
    parameters: "partitions=6",
    program: "kafka.py",
    address: |url| vec![url.addresses(9092).join(",")],
    source: |topic, group, count| vec![topic.to_string(), group.to_string(), count.to_string()],
    keeps_order_of_headers: true,
    cannot: &[],
    gives_an_id: false,
    keeps_partition_key: true,
    modes: &["binary", "structured"],
    own: &[
        ("partitions", |stage| Box::pin(partitions(stage))),
        ("mixed_group", |stage| Box::pin(mixed_group(stage))),
    ],
};

/// A key has the same partition by anybroker, by librdkafka told to, and by Java's client, whose sum this is.
async fn partitions(stage: &Stage) -> Outcome {
    let mut keys: Vec<Vec<u8>> = (0..40).map(|n| format!("order-{n}").into_bytes()).collect();
    keys.extend([b"".to_vec(), b"\xff\x00\xfe".to_vec(), "☃".into(), vec![0x80; 1_000]]);
    let publisher = stage.publisher().await?;
    let mut python = stage.python_publisher()?;
    for key in &keys {
        let expected = (murmur2(key) & 0x7fff_ffff) % PARTITIONS;
        let receipt = publisher.publish(Message::new("x").with_key(key.as_slice())).await?;
        let ours = receipt.position.ok_or("Kafka says where it is")?.partition;
        let written = python.ask(&serde_json::to_value(Letter::plain("x").key(key.as_slice()))?).await?;
        let what = format!("the partition of {:?}", key.escape_ascii().to_string());
        same(&what, json!([expected, expected]), json!([ours, written["partition"]]))?;
    }
    python.end().await?;
    publisher.close().await?;
    vectors()?;
    Ok(format!("{} keys in the same partition of 6 by anybroker, Python and Java's murmur2", keys.len()))
}

/// A member in Python joins a group of anybroker's and leaves it: every message is handled, and once.
async fn mixed_group(stage: &Stage) -> Outcome {
    let mut consumer = stage.consumer().await?;
    let publisher = stage.publisher().await?;
    let mut python = stage.python_consumer(&stage.topic, THEIRS)?;
    let mut handled = Vec::new();
    let (mut published, mut theirs) = (0, 0);
    // Until Python has had its share, one message after the other goes to whoever has the partition.
    while theirs < THEIRS || handled.len() < published {
        if handled.len() == published {
            publisher
                .publish(Message::new(published.to_string()).with_key(format!("k-{}", published % 20)))
                .await?;
            published += 1;
        }
        tokio::select! {
            delivery = next(&mut consumer) => {
                let delivery = delivery?;
                handled.push(number(&delivery)?);
                delivery.ack().await?;
            }
            line = python.hear(), if theirs < THEIRS => {
                let letter: Letter = serde_json::from_value(line?)?;
                handled.push(std::str::from_utf8(&letter.payload.0)?.parse()?);
                theirs += 1;
            }
        }
    }
    python.end().await?;
    consumer.close().await?;
    publisher.close().await?;
    handled.sort_unstable();
    same("the messages handled", (0..published).collect(), handled)?;
    Ok(format!("{published} messages handled once, {THEIRS} of them by Python"))
}

fn number(delivery: &Delivery) -> Result<usize, Failure> {
    Ok(std::str::from_utf8(delivery.payload())?.parse()?)
}

/// `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(data: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let k = u32::from_le_bytes(*word).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (k ^ (k >> 24)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |sum, byte| (sum << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    (hash ^ (hash >> 15)) as i32
}

/// Of Kafka's own `UtilsTest.testMurmur2`.
fn vectors() -> Result<(), Failure> {
    for (text, hash) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ] {
        same(text, hash, murmur2(text.as_bytes()))?;
    }
    Ok(())
}
