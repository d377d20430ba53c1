//! Appending to an event store, with the expected version.

mod by_hand;
mod cqrs_es;
mod disintegrate;
mod ours;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::try_join_all;

use crate::Result;
use crate::rounds::Rounds;

/// What each event holds.
const DATA: &str = r#"{"order":"o-1234567","customer":"c-1234567","cents":12345,"items":[1,2,3]}"#;
/// Events of a batch.
const BATCH: u64 = 500;
/// Tasks that append, each to its own stream, each waiting for its own append.
const TASKS: usize = 2_000;

/// A way to append.
#[async_trait]
pub(crate) trait Way: Send + Sync {
    fn name(&self) -> &'static str;

    /// Appends events to a stream that has `version` of them, all or none, and returns when they are on the disk.
    async fn append(&self, stream: &str, version: u64, events: u64) -> Result<()>;
}

pub(crate) async fn measure(postgres: &str, rounds: u32, time: Duration) -> Result<()> {
    let mut ways: Vec<Arc<dyn Way>> = Vec::new();
    take(&mut ways, "by hand", by_hand::ByHand::open(postgres).await)?;
    take(&mut ways, "anybroker", ours::Store::open(postgres).await)?;
    take(&mut ways, "anybroker, an appender", ours::Shared::open(postgres).await)?;
    left_out(take(&mut ways, "cqrs-es", cqrs_es::CqrsEs::open(postgres).await));
    left_out(take(&mut ways, "disintegrate", disintegrate::Disintegrate::open(postgres).await));
    let names = || ways.iter().map(|way| way.name().to_owned());
    let mut one = Rounds::new("one event at a time, each awaited", "events/s", names());
    let mut batch = Rounds::new("500 events at a time", "events/s", names());
    let mut many = Rounds::new("2,000 tasks, one event at a time", "events/s", names());
    for round in 0..rounds {
        for (place, way) in ways.iter().enumerate() {
            one.add(place, writer(way, &format!("one-{round}-{place}"), 1, time).await?);
            batch.add(place, writer(way, &format!("batch-{round}-{place}"), BATCH, time).await?);
            many.add(place, tasks(way, &format!("many-{round}-{place}"), time).await?);
        }
    }
    [one, batch, many].iter().for_each(Rounds::print);
    Ok(())
}

fn take<W: Way + 'static>(ways: &mut Vec<Arc<dyn Way>>, name: &str, opened: Result<W>) -> Result<()> {
    let opened = opened.map_err(|error| format!("{name} cannot be opened: {error}"))?;
    ways.push(Arc::new(opened));
    Ok(())
}

/// Another library may want another server than this one.
fn left_out(taken: Result<()>) {
    if let Err(why) = taken {
        println!("left out: {why}");
    }
}

/// One task, for a while.
async fn writer(way: &Arc<dyn Way>, stream: &str, each: u64, time: Duration) -> Result<f64> {
    let (begun, mut version) = (Instant::now(), 0);
    while begun.elapsed() < time {
        way.append(stream, version, each).await?;
        version += each;
    }
    Ok(version as f64 / begun.elapsed().as_secs_f64())
}

async fn tasks(way: &Arc<dyn Way>, streams: &str, time: Duration) -> Result<f64> {
    let (begun, stored) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let tasks = (0..TASKS).map(|task| {
        let (way, stored, stream) = (way.clone(), stored.clone(), format!("{streams}-{task}"));
        tokio::spawn(async move {
            let mut version = 0;
            while begun.elapsed() < time {
                way.append(&stream, version, 1).await?;
                version += 1;
                stored.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        })
    });
    try_join_all(tasks).await?.into_iter().collect::<Result<()>>()?;
    Ok(stored.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}
