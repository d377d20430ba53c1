//! Relaying an outbox's backlog from PostgreSQL to Kafka, each message confirmed before its row is done.

mod backbone;
mod by_hand;
mod ours;

use std::time::{Duration, Instant};

use anybroker::{Broker, Topic, Topology};
use async_trait::async_trait;

use crate::Result;
use crate::rounds::Rounds;

/// A way to relay.
#[async_trait]
pub(crate) trait Way: Send + Sync {
    fn name(&self) -> &'static str;

    /// Fills its table, anew, with more rows than it relays in a round.
    async fn fill(&self) -> Result<()>;

    /// Relays until the deadline; how many rows.
    async fn relay(&self, until: Instant) -> Result<u64>;
}

pub(crate) async fn measure(postgres: &str, kafka: &str, rounds: u32, time: Duration) -> Result<()> {
    // One message at a time is not to wait for others.
    let separator = if kafka.contains('?') { '&' } else { '?' };
    let at_once = anybroker::connect(&format!("{kafka}{separator}linger=0s")).await?;
    let broker = anybroker::connect(kafka).await?;
    let topic = Topic::new(format!("bench-databases-{}", std::process::id()))?;
    broker.admin().declare(&Topology::new(topic.clone()).partitions(8)).await?;
    let ways: Vec<Box<dyn Way>> = vec![
        Box::new(by_hand::ByHand::open(postgres, &at_once, &topic).await?),
        Box::new(ours::Ours::open(postgres, &broker, &topic).await?),
        Box::new(backbone::Backbone::open(postgres, &at_once, &topic).await?),
    ];
    let mut relayed =
        Rounds::new("outbox relayed", "messages/s", ways.iter().map(|way| way.name().to_owned()));
    for _ in 0..rounds {
        for (place, way) in ways.iter().enumerate() {
            way.fill().await?;
            let begun = Instant::now();
            let count = way.relay(begun + time).await?;
            relayed.add(place, count as f64 / begun.elapsed().as_secs_f64());
        }
    }
    relayed.print();
    delete(&broker, &topic).await
}

async fn delete(broker: &Broker, topic: &Topic) -> Result<()> {
    broker.admin().delete(topic).await?;
    Ok(broker.close().await?)
}
