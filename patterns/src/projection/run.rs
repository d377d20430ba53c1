//! The projector's loop.

use anybroker_core::Result;
use anybroker_core::kit::Supervision;
use futures::future::Shared;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use super::follow::{End, Following, Until, paused};
use super::generation::Generation;
use super::projector::Projector;
use super::wakes::Wakes;
use super::{Projection, Store};

impl<D: Store, P: Projection<D>> Projector<D, P> {
    /// Applies events to the live generation until `stop` comes true, and ends what is under way. The first time, creates
    /// the tables.
    ///
    /// Failures of the database are waited for, reported ([`progress`](Projector::progress)) and logged. If a rebuild takes
    /// the live generation's place, it goes on with that, if it is of this code.
    ///
    /// # Errors
    /// `InvalidConfiguration`: the live generation is of other code or has other partitions (see
    /// [`rebuild`](Projector::rebuild)), the checkpoint is ahead of the events, the tables cannot be created; `Closed`,
    /// `Unsupported`.
    ///
    /// # Cancel safety
    /// Dropped, it gives up what is under way: it is rolled back.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<()> {
        self.live_until(stop, Until::Stopped).await
    }

    /// Applies what there is to the live generation, and ends then.
    ///
    /// # Errors
    /// As [`run`](Projector::run).
    ///
    /// # Cancel safety
    /// As [`run`](Projector::run).
    pub async fn catch_up(&self) -> Result<()> {
        self.live_until(std::future::pending(), Until::CaughtUp).await
    }

    async fn live_until<S: Future<Output = ()>>(&self, stop: S, until: Until) -> Result<()> {
        let stop = stop.shared();
        loop {
            let Some(generation) = self.insist(&stop, || self.live()).await? else {
                return Ok(());
            };
            if self.follow_all(&generation, &stop, until).await? != End::Replaced {
                return Ok(());
            }
        }
    }

    /// All partitions of a generation.
    pub(super) async fn follow_all<S: Future<Output = ()>>(
        &self,
        generation: &Generation,
        stop: &Shared<S>,
        until: Until,
    ) -> Result<End> {
        let wakes = Wakes::new(self.store(), generation.partitions);
        let follow = |partition| {
            let (wake, stop) = (wakes.of(partition), stop.clone());
            self.follow(Following { generation, partition, wake, stop, until })
        };
        let mut following: FuturesUnordered<_> = (0..generation.partitions).map(follow).collect();
        let all = async {
            let mut last = End::CaughtUp;
            while let Some(end) = following.next().await {
                match end? {
                    End::Replaced => return Ok(End::Replaced),
                    End::Stopped => last = End::Stopped,
                    End::CaughtUp | End::Beaten => {}
                }
            }
            Ok(last)
        };
        tokio::select! {
            end = all => end,
            () = wakes.hand_on() => Ok(End::Stopped),
        }
    }

    /// Tries until it succeeds or cannot; none if it was stopped.
    pub(super) async fn insist<T, S: Future<Output = ()>, F: Future<Output = Result<T>>>(
        &self,
        stop: &Shared<S>,
        mut attempt: impl FnMut() -> F,
    ) -> Result<Option<T>> {
        let mut waits = Supervision::new();
        loop {
            match attempt().await {
                Ok(done) => return Ok(Some(done)),
                Err(error) if error.is_retryable() => self.count().failed(self.name(), &error),
                Err(error) => return Err(error),
            }
            if paused(waits.next_wait(), stop).await {
                return Ok(None);
            }
        }
    }
}
