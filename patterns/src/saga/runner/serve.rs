//! The runner's loop: which instances are in work, and which is next.

use std::sync::atomic::Ordering;

use anybroker_core::{Error, Result};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt, OptionFuture};
use futures::stream::{BoxStream, FuturesUnordered};
use tokio::time::MissedTickBehavior;

use super::SagaRunner;
use crate::saga::instances::millis;
use crate::saga::record::Lease;
use crate::saga::store::Store;

type Taking<'a> = BoxFuture<'a, Result<Option<Lease>>>;

impl<D: Store> SagaRunner<D> {
    /// Runs instances until `stop` comes true, and ends the attempts that are under way.
    ///
    /// Failures of the database are waited for, reported ([`progress`](Self::progress)) and logged.
    ///
    /// # Cancel safety
    /// Dropped, it gives up what is under way; another runner goes on with it when the lease has run out.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let wakes = self.listen().await;
        self.serve(stop, wakes, false).await;
    }

    /// Runs instances until nothing is due any more: for a job that is started now and then, and for tests.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_due(&self) {
        self.serve(std::future::pending(), futures::stream::pending().boxed(), true).await;
    }

    async fn serve(&self, stop: impl Future<Output = ()>, mut wakes: BoxStream<'static, ()>, once: bool) {
        let mut stop = std::pin::pin!(stop);
        let mut running = FuturesUnordered::new();
        let mut taking: Option<Taking<'_>> = None;
        let mut due = true;
        let mut tick = tokio::time::interval(self.store.poll());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if due && taking.is_none() && running.len() < self.options.instances.max(1) {
                taking = Some(self.take().boxed());
            }
            if once && taking.is_none() && running.is_empty() {
                return;
            }
            // Taking and running go on side by side: on SQLite one may wait for the other's transaction.
            tokio::select! {
                () = &mut stop => break,
                Some(taken) = OptionFuture::from(taking.as_mut()) => {
                    taking = None;
                    match taken {
                        Ok(Some(lease)) => running.push(self.run_instance(lease)),
                        Ok(None) => due = false,
                        Err(error) => {
                            due = false;
                            self.report(&error);
                        }
                    }
                }
                Some(()) = running.next(), if !running.is_empty() => due = true,
                Some(()) = wakes.next() => due = true,
                _ = tick.tick(), if !once => due = true,
            }
        }
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(Ok(Some(lease))) = OptionFuture::from(taking).await {
            running.push(self.run_instance(lease));
        }
        while running.next().await.is_some() {}
    }

    /// Takes the next instance that is due and that nobody has.
    async fn take(&self) -> Result<Option<Lease>> {
        let mut connection = self.store.begin().await?;
        for saga in self.definitions.keys() {
            let sql = "update {sagas} set owner = $2, leased_until = {now} + $3, fence = fence + 1
                       where saga = $1 and id = (
                           select id from {sagas} where saga = $1 and state in ('running', 'compensating')
                               and due_at <= {now} and leased_until <= {now}
                           order by due_at limit 1 {skip})
                       returning id, fence";
            let lease = millis(self.options.lease);
            let values = vec![saga.as_str().into(), self.name.as_str().into(), lease.into()];
            let taken = self.store.fetch(&mut connection, sql, values).await?;
            if let Some(mut row) = taken.into_iter().next() {
                let lease = Lease { saga: saga.clone(), id: row.text()?, fence: row.number()? };
                crate::saga::commit(connection).await?;
                return Ok(Some(lease));
            }
        }
        Ok(None)
    }

    /// What wakes the runner; nothing if the database tells nobody.
    async fn listen(&self) -> BoxStream<'static, ()> {
        match self.store.wakes().await {
            Ok(wakes) => wakes.chain(futures::stream::pending()).boxed(),
            Err(error) => {
                tracing::debug!(%error, "nothing wakes the runner; it polls");
                futures::stream::pending().boxed()
            }
        }
    }

    pub(super) fn report(&self, error: &Error) {
        tracing::warn!(%error, "running sagas failed; trying again");
        self.progress.failed(error.to_string());
    }
}
