//! End-to-end latency at a fixed offered rate: an open loop. A message counts from when it was *due*, so that a client
//! that falls behind is charged for those that it kept waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::broker_cpu::BrokerCpu;
use super::figures::{Figures, Latencies};
use super::handler::Handler;
use super::statistics::percentile;
use super::usage::Mark;
use crate::Result;
use crate::contender::{Contender, Publish};
use crate::task::{Load, Task};

/// How often it is looked what is due.
const TICK: Duration = Duration::from_millis(1);
/// Time for the consumer to get its partitions.
const START: Duration = Duration::from_secs(1);

pub(super) async fn measure(task: &Arc<Task>, contender: Contender, broker: &BrokerCpu) -> Result<Figures> {
    let (publish, consume) = contender.publish.zip(contender.consume).ok_or("it does not do both")?;
    let (mut publishing, mut consuming) = (publish(task.clone()).await?, consume(task.clone()).await?);
    let since = Instant::now();
    let warm_up = Duration::from_secs_f64(task.warm_up as f64 / task.rate as f64);
    let total = task.warm_up + task.messages;
    let from = (START + warm_up).as_nanos() as u64;
    let handler = Arc::new(Handler::timing(since, from, total as usize));
    let load = task.load();
    let receiving = tokio::spawn({
        let handler = handler.clone();
        async move {
            consuming.consume(total, &handler).await?;
            Result::Ok(consuming)
        }
    });
    let mark = pace(&mut *publishing, &load, task, since, broker).await?;
    publishing.confirmed().await?;
    let consuming = receiving.await??;
    let mut figures = mark.figures(task.messages, broker);
    let late = handler.late();
    let of = |percent| percentile(&late, percent) as f64 / 1e3;
    if late.is_empty() {
        return Err("no message was measured".into());
    }
    figures.latency =
        Some(Latencies { rate: task.rate, p50: of(50.0), p99: of(99.0), p999: of(99.9), max: of(100.0) });
    consuming.close().await?;
    Ok(figures)
}

/// Passes every message when it is due; marks the end of the warm-up.
async fn pace(
    publishing: &mut dyn Publish,
    load: &Load,
    task: &Task,
    since: Instant,
    broker: &BrokerCpu,
) -> Result<Mark> {
    let mut tick = tokio::time::interval(TICK);
    let total = task.warm_up + task.messages;
    let due = |number: u64| START.as_nanos() as u64 + number * 1_000_000_000 / task.rate;
    let (mut sent, mut mark) = (0, None);
    while sent < total {
        tick.tick().await;
        let now = since.elapsed().as_nanos() as u64;
        let first = sent;
        while sent < total && due(sent) <= now {
            sent += 1;
        }
        if sent > task.warm_up && mark.is_none() {
            mark = Some(Mark::now(broker));
        }
        if sent > first {
            publishing.pass((first..sent).map(|number| load.stamped(number, due(number))).collect()).await?;
        }
    }
    mark.ok_or_else(|| "there was nothing to measure".into())
}
