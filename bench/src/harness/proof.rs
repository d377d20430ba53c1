//! What other libraries call confirmed and acknowledged is what the broker has: asked after measuring, and not of it.

use std::time::{Duration, Instant};

use crate::Result;
use crate::contenders::nats;
use crate::task::Task;

/// Commits in the background, and on closing, may be under way for so long.
const PATIENCE: Duration = Duration::from_secs(10);
const BETWEEN: Duration = Duration::from_millis(50);

/// Fails unless the topic has as many messages as were confirmed.
pub(super) async fn published(task: &Task, confirmed: u64) -> Result<()> {
    match backlog(task).await? {
        there if there == confirmed => Ok(()),
        there => Err(format!("{confirmed} messages were confirmed, the broker has {there}").into()),
    }
}

/// What AMQP and JetStream lose of a consumer that ends: acknowledgements on their way. No peer waits for an answer to them.
const ON_THE_WAY: u64 = 1_000;

/// Fails unless the group has so many left: all but what it handled.
pub(super) async fn acknowledged(task: &Task, left: u64) -> Result<()> {
    let begun = Instant::now();
    loop {
        // On JetStream a peer's consumer is its own, and no group of ours.
        let there = if task.url.starts_with("nats") { nats::left(task).await } else { backlog(task).await };
        let most = if task.url.starts_with("kafka") { left } else { left + ON_THE_WAY };
        if matches!(there, Ok(there) if (left..=most).contains(&there)) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(
                format!("{left} messages should not be acknowledged, the broker says: {there:?}").into()
            );
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// The messages that the group has not acknowledged.
async fn backlog(task: &Task) -> Result<u64> {
    let broker = anybroker::connect(&task.url).await?;
    Ok(broker.admin().backlog(&task.topic()?, &task.group()?).await?)
}
