//! Adds up what was counted.

use std::time::Duration;

use anybroker::{Broker, Error, Kind, Result};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::text::Counts;
use crate::topics::Topics;
use crate::worker::acknowledge;

/// How long to wait for what would be too much, once everything is there.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// How long nothing may come before that: longer than a killed worker's partitions wait for the next one.
const STILL: Duration = Duration::from_secs(120);

/// Counts until `expected` words are there, and a while longer; tells how many there are.
///
/// # Errors
/// Too few come (`TimedOut`), or one is no number (`Decode`).
pub(crate) async fn count(
    broker: &Broker,
    topics: &Topics,
    expected: u64,
    told: &watch::Sender<u64>,
) -> Result<Counts> {
    let mut consumer = broker.consumer(topics.report()).await?;
    let (mut counts, mut total) = (Counts::default(), 0);
    loop {
        let patience = if total < expected { STILL } else { AFTERWARDS };
        let Ok(batch) = timeout(patience, consumer.receive(1_000)).await else { break };
        let batch = batch?;
        for delivery in &batch {
            let word = String::from_utf8_lossy(delivery.key().unwrap_or_default()).into_owned();
            let count = String::from_utf8_lossy(delivery.payload()).parse().map_err(|error| {
                Error::new(Kind::Decode, "count", "what a worker published is no number").with_source(error)
            })?;
            counts.add(&word, count);
            total += count;
        }
        acknowledge(&*consumer.settler(), batch).await?;
        told.send_replace(total);
    }
    consumer.close().await?;
    if total < expected {
        let text = format!("{total} of {expected} words were counted, and no more within {STILL:?}");
        return Err(Error::new(Kind::TimedOut, "count", text));
    }
    Ok(counts)
}
