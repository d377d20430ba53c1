//! The relay's loop: which lanes are in work, and which are next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Error, Result};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::Relay;
use super::lanes::Lanes;
use crate::outbox::{Batch, Limit, Store, Taken};

/// How often a relay that is publishing shows that it is alive.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// What lanes came to. Of those that are in no list nothing was there, or another relay has them.
#[derive(Default)]
struct Served {
    /// There may be more of them.
    more: Vec<u16>,
    /// That was all, when it was taken.
    drained: Vec<u16>,
    /// Some of them is to be tried again.
    failed: Vec<u16>,
    /// Why.
    why: Option<Error>,
}

impl<S: Store> Relay<S> {
    /// Relays until `stop` comes true, ends what is under way, and closes its publishers.
    ///
    /// Failures of the database and the broker are waited for, reported ([`progress`](Relay::progress)) and logged.
    ///
    /// # Errors
    /// Of closing the publishers.
    ///
    /// # Cancel safety
    /// Dropped, it gives up what is under way: some messages may be published again.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<()> {
        let relay = Arc::new(self);
        let mut stop = std::pin::pin!(stop);
        let mut lanes = Lanes::default();
        let mut running = JoinSet::new();
        let (listening, mut wakes) = relay.listen().await;
        let mut tick = tokio::time::interval(relay.poll());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while running.len() < relay.options.connections.max(1) {
                let next = lanes.next(relay.options.connections.max(1) - running.len());
                if next.is_empty() {
                    break;
                }
                let (relay, served) = (relay.clone(), next.clone());
                let task = running.spawn(async move { relay.serve(served).await });
                lanes.began(next, task.id());
            }
            tokio::select! {
                () = &mut stop => break,
                Some(served) = running.join_next_with_id(), if !running.is_empty() => {
                    let (task, served) = served.map_or_else(|error| (error.id(), None), |(id, it)| (id, Some(it)));
                    let had = lanes.ended(task);
                    let Some(served) = served else {
                        tracing::error!(lanes = ?had, "a relay's task has panicked; its rows are as they were");
                        had.into_iter().for_each(|lane| lanes.pause(lane));
                        continue;
                    };
                    // What came since then, nobody tells a relay that does not listen.
                    if !listening {
                        served.drained.iter().for_each(|&lane| lanes.due(lane));
                    }
                    relay.served(&mut lanes, served);
                }
                Some(lane) = wakes.next() => lanes.due(lane),
                _ = tick.tick() => match relay.store.waiting().await {
                    Ok(waiting) => waiting.into_iter().for_each(|lane| lanes.due(lane)),
                    Err(error) => relay.failed(&error),
                },
                () = at(lanes.next_pause_ends()) => lanes.resume(),
            }
        }
        while running.join_next().await.is_some() {}
        relay.publishers.close().await
    }

    /// Publishes what waits, until nothing is left or something cannot go on now: for a job that is started now and then, and
    /// for tests.
    ///
    /// # Errors
    /// Of the database or the broker; what was not published waits still.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_due(&self) -> Result<()> {
        let mut lanes = self.store.waiting().await?;
        while !lanes.is_empty() {
            let served = self.serve(lanes).await;
            if let Some(error) = served.why {
                return Err(error);
            }
            lanes = [served.more, served.drained].concat();
        }
        Ok(())
    }

    fn served(&self, lanes: &mut Lanes, served: Served) {
        for &lane in served.more.iter().chain(&served.drained) {
            lanes.succeeded(lane);
        }
        served.more.into_iter().for_each(|lane| lanes.due(lane));
        served.failed.into_iter().for_each(|lane| lanes.pause(lane));
        if let Some(error) = served.why {
            self.failed(&error);
        }
    }

    fn failed(&self, error: &Error) {
        tracing::warn!(%error, "relaying failed; trying again");
        self.progress.failed(error.to_string());
    }

    /// What wakes the relay, and whether it does; nothing if the database tells nobody.
    async fn listen(&self) -> (bool, BoxStream<'static, u16>) {
        match self.store.wakes().await {
            Ok(wakes) => (true, wakes.chain(futures::stream::pending()).boxed()),
            Err(error) => {
                tracing::debug!(%error, "nothing wakes the relay; it polls");
                (false, futures::stream::pending().boxed())
            }
        }
    }

    /// Takes the next rows of lanes, publishes and removes them.
    async fn serve(&self, lanes: Vec<u16>) -> Served {
        match self.serve_all(&lanes).await {
            Ok(served) => served,
            Err(error) => Served { failed: lanes, why: Some(error), ..Served::default() },
        }
    }

    async fn serve_all(&self, lanes: &[u16]) -> Result<Served> {
        let limit = self.limit(lanes.len());
        let Some(mut batch) = self.store.take(&self.name, lanes, limit).await? else {
            return Ok(Served::default());
        };
        let rows = batch.rows();
        let taken = sizes(&rows);
        let mut publishing = std::pin::pin!(self.publishers.publish(rows));
        let (finished, why) = loop {
            tokio::select! {
                published = &mut publishing => break published,
                () = tokio::time::sleep(SIGN_OF_LIFE) => batch.keep().await?,
            }
        };
        let back: BTreeSet<_> = finished.back.iter().map(|row| row.lane).collect();
        batch.finish(finished).await?;
        let mut served = Served { why, ..Served::default() };
        for (lane, size) in taken {
            let full = size.rows >= limit.rows || size.bytes >= limit.bytes;
            let again = back.contains(&lane);
            let list = if again && served.why.is_some() {
                &mut served.failed
            } else if again || full {
                &mut served.more
            } else {
                &mut served.drained
            };
            list.push(lane);
        }
        Ok(served)
    }
}

/// How much of each lane there is.
fn sizes(rows: &[Taken]) -> BTreeMap<u16, Limit> {
    let mut sizes = BTreeMap::new();
    for Taken { row, .. } in rows {
        let size = sizes.entry(row.lane).or_insert(Limit { rows: 0, bytes: 0 });
        size.rows += 1;
        size.bytes += row.size() as u64;
    }
    sizes
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
