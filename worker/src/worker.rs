//! Running a worker: opening, serving, ending.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Broker, Error, Kind, Result, Subscription};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::builder::{Builder, Opened, Prepared};
use crate::handler::Context;
use crate::health;
use crate::observe::{Happening, Observer};
use crate::serve::{Ending, Serving, Sources, Terms};
use crate::signals::Signals;

/// Runs handlers over subscriptions until it is told to end, or one of them cannot go on.
///
/// See the [crate's front page](crate) for a whole program.
pub struct Worker {
    pub(crate) broker: Broker,
    pub(crate) context: Context,
    pub(crate) prepared: Vec<Prepared>,
    pub(crate) observers: Arc<[Arc<dyn Observer>]>,
    /// What runs for as long as the worker does, and never ends by itself.
    pub(crate) beside: Vec<BoxFuture<'static, ()>>,
    pub(crate) shutdown: Duration,
}

impl Worker {
    /// Begins a worker over this broker.
    pub fn builder(broker: Broker) -> Builder {
        Builder::new(broker)
    }

    /// What it will receive.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.prepared.iter().map(|prepared| &prepared.subscription)
    }

    /// Runs until SIGTERM or SIGINT comes, then drains: handlers that run may end, what they leave is settled, everything
    /// else goes back in order, the group is left. A second signal ends it at once; what was in work comes again.
    ///
    /// # Errors
    /// What opening fails with (`Unmet`, `NotFound`, `PermissionDenied`, …), before any handler has run; what ended a
    /// subscription (`Disconnected` past the deadline of reconnecting, a fatal [`Failure`](crate::Failure), a hopeless
    /// message without a dead letter topic); `TimedOut` or `Disconnected` if the last settlements could not be pushed;
    /// `Closed` after a second signal. Nothing is lost in any case.
    ///
    /// # Cancel safety
    /// Not cancel safe: cancelled, it ends as a crash would.
    pub async fn run(self) -> Result<()> {
        let mut signals = Signals::catch()?;
        let (end, ending) = watch::channel(Ending::No);
        let limit = self.shutdown;
        let mut running = std::pin::pin!(self.serve(end.clone(), ending));
        tokio::select! {
            biased;
            ended = &mut running => return ended,
            () = signals.next() => {}
        }
        tracing::info!(?limit, "draining; a second signal ends it at once");
        end.send_replace(Ending::Drain(Instant::now() + limit));
        tokio::select! {
            biased;
            ended = &mut running => return ended,
            () = signals.next() => {}
        }
        end.send_replace(Ending::Now);
        let _ = running.await;
        Err(Error::new(
            Kind::Closed,
            "run the worker",
            "a second signal ended it at once; what was in work comes again",
        ))
    }

    /// Runs until `shutdown` is ready, then drains as [`run`](Self::run) does.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// Not cancel safe: cancelled, it ends as a crash would.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let (end, ending) = watch::channel(Ending::No);
        let limit = self.shutdown;
        let mut running = std::pin::pin!(self.serve(end.clone(), ending));
        tokio::select! {
            biased;
            ended = &mut running => return ended,
            () = shutdown => {}
        }
        end.send_replace(Ending::Drain(Instant::now() + limit));
        running.await
    }

    async fn serve(mut self, end: watch::Sender<Ending>, ending: watch::Receiver<Ending>) -> Result<()> {
        let mut beside: FuturesUnordered<_> = std::mem::take(&mut self.beside).into_iter().collect();
        let mut served = std::pin::pin!(self.serve_subscriptions(end, ending));
        loop {
            tokio::select! {
                biased;
                ended = &mut served => return ended,
                Some(()) = beside.next() => {}
            }
        }
    }

    async fn serve_subscriptions(
        self,
        end: watch::Sender<Ending>,
        ending: watch::Receiver<Ending>,
    ) -> Result<()> {
        let Worker { broker, context, prepared, observers, shutdown, .. } = self;
        let watched: Vec<_> = prepared
            .iter()
            .map(|it| (it.subscription.topic.clone(), it.subscription.group.clone()))
            .collect();
        for (topic, group) in &watched {
            observers.iter().for_each(|it| it.observe(topic, group, &Happening::Opening));
        }
        let opened = open(&broker, prepared).await?;
        let mut services = JoinSet::new();
        for Opened { sources, prepared: Prepared { subscription, handling, serve } } in opened {
            let terms = Terms {
                broker: broker.clone(),
                subscription,
                handling,
                observers: observers.clone(),
                ending: ending.clone(),
                limit: shutdown,
            };
            services.spawn(serve(Serving { sources, terms }, context.clone()));
        }
        let mut ended = Ok(());
        let mut watching = std::pin::pin!(health::watch(&broker, &watched, &observers));
        while let Some(one) = tokio::select! {
            biased;
            one = services.join_next() => one,
            () = &mut watching => None,
        } {
            let one = one.unwrap_or_else(|panic| Err(panicked(panic)));
            ended = ended.and(one);
            // One that ends takes the others with it.
            end.send_if_modified(|ending| {
                let first = *ending == Ending::No;
                if first {
                    *ending = Ending::Drain(Instant::now() + shutdown);
                }
                first
            });
        }
        let closed = context.all_publishers().close().await;
        ended.and(closed)
    }
}

/// Opens all subscriptions before anything is handled. What is open when one fails is closed.
async fn open(broker: &Broker, prepared: Vec<Prepared>) -> Result<Vec<Opened>> {
    let mut opened = Vec::new();
    for prepared in prepared {
        match Sources::open(broker, &prepared.subscription, &prepared.handling).await {
            Ok(sources) => opened.push(Opened { sources, prepared }),
            Err(error) => {
                let closing = opened.into_iter().map(|open: Opened| open.sources.close());
                futures::future::join_all(closing).await;
                return Err(error);
            }
        }
    }
    Ok(opened)
}

fn panicked(panic: tokio::task::JoinError) -> Error {
    Error::new(Kind::Unexpected, "run the worker", "a task of the worker panicked").with_source(panic)
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subscriptions: Vec<_> = self.subscriptions().collect();
        f.debug_struct("Worker").field("subscriptions", &subscriptions).finish_non_exhaustive()
    }
}
