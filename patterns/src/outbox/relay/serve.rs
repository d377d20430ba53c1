//! The relay's loop: which lanes are in work, and which are next.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Error, Result};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::Relay;
use super::lanes::Lanes;
use crate::outbox::{Batch, Store};

/// How often a relay that is publishing shows that it is alive.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// What a lane came to.
enum Served {
    /// There may be more of it.
    More,
    /// That was all, when it was taken.
    Drained,
    /// There is nothing left, or another relay has it.
    Empty,
    /// Some of it is to be tried again.
    Failed(Error),
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
            while running.len() < relay.options.lanes.max(1) {
                let Some(lane) = lanes.next() else { break };
                let relay = relay.clone();
                let task = running.spawn(async move { relay.serve(lane).await });
                lanes.began(lane, task.id());
            }
            tokio::select! {
                () = &mut stop => break,
                Some(served) = running.join_next_with_id(), if !running.is_empty() => {
                    let (task, served) = served.map_or_else(|error| (error.id(), None), |(id, it)| (id, Some(it)));
                    let Some(lane) = lanes.ended(task) else { continue };
                    // What came since then, nobody tells a relay that does not listen.
                    let served = match served {
                        Some(Served::Drained) if !listening => Some(Served::More),
                        served => served,
                    };
                    relay.served(&mut lanes, lane, served);
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

    /// Publishes what waits, lane by lane, until nothing is left or a lane cannot go on now: for a job that is started now and
    /// then, and for tests.
    ///
    /// # Errors
    /// Of the database or the broker; what was not published waits still.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_due(&self) -> Result<()> {
        for lane in self.store.waiting().await? {
            loop {
                match self.serve(lane).await {
                    Served::More | Served::Drained => {}
                    Served::Empty => break,
                    Served::Failed(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn served(&self, lanes: &mut Lanes, lane: u16, served: Option<Served>) {
        match served {
            Some(Served::More) => {
                lanes.succeeded(lane);
                lanes.due(lane);
            }
            Some(Served::Drained) => lanes.succeeded(lane),
            Some(Served::Empty) => {}
            Some(Served::Failed(error)) => {
                self.failed(&error);
                lanes.pause(lane);
            }
            None => {
                tracing::error!(lane, "a lane's task has panicked; its rows are as they were");
                lanes.pause(lane);
            }
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

    /// Takes a lane's next rows, publishes and removes them.
    async fn serve(&self, lane: u16) -> Served {
        let limit = self.limit();
        let mut batch = match self.store.take(&self.name, lane, limit).await {
            Ok(Some(batch)) => batch,
            Ok(None) => return Served::Empty,
            Err(error) => return Served::Failed(error),
        };
        let rows = batch.rows();
        let bytes: usize = rows.iter().map(|taken| taken.row.size()).sum();
        let full = rows.len() >= limit.rows as usize || bytes as u64 >= limit.bytes;
        let mut publishing = std::pin::pin!(self.publishers.publish(rows));
        let (finished, failure) = loop {
            tokio::select! {
                published = &mut publishing => break published,
                () = tokio::time::sleep(SIGN_OF_LIFE) => {
                    if let Err(error) = batch.keep().await {
                        return Served::Failed(error);
                    }
                }
            }
        };
        let more = full || !finished.back.is_empty();
        if let Err(error) = batch.finish(finished).await {
            return Served::Failed(error);
        }
        match failure {
            Some(error) => Served::Failed(error),
            None if more => Served::More,
            None => Served::Drained,
        }
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
