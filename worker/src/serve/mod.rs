//! One subscription in work: receives, hands to the handlers, settles, and drains at the end.

mod batch_slot;
mod delays;
mod desk;
mod guard;
mod lanes;
mod parking;
mod settling;
mod slot;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Consumer, Delivery, Error, Kind, Result, Topic};
use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::Service;

use crate::failure::BoxError;
use crate::handler::{Context, Outcomes};
use crate::handling::{Batches, Handling};
use crate::health::Heart;
use crate::observe::{Happening, Loop, Observer};
use batch_slot::BatchSlot;
use desk::Desk;
use lanes::Task;
pub(crate) use settling::is_gone;
use slot::Slot;

/// How far a worker is in ending.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    /// It goes on.
    No,
    /// Nothing new begins, and what runs may end until then.
    Drain(Instant),
    /// At once.
    Now,
}

/// What a subscription's service needs besides its handler.
pub(crate) struct Serving {
    pub(crate) consumer: Box<dyn Consumer>,
    pub(crate) handling: Handling,
    pub(crate) dead_letters: Option<Topic>,
    pub(crate) observers: Arc<[Arc<dyn Observer>]>,
    pub(crate) ending: watch::Receiver<Ending>,
    /// How long draining may take where nobody says otherwise: the subscription ends by itself.
    pub(crate) limit: Duration,
}

/// How many messages are received at once.
const BATCH: usize = 256;

/// How long leaving the group may take when everything has been settled.
const LEAVING: Duration = Duration::from_secs(5);

impl Serving {
    /// Serves until the worker ends, or this can't go on.
    pub(crate) async fn run<S>(self, context: Context, service: S) -> Result<()>
    where
        S: Service<Delivery, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    {
        self.with(&context, |desk| Slot::new(desk, context.fork(), service.clone()).run()).await
    }

    /// The same in batches.
    pub(crate) async fn run_batches<S>(self, context: Context, service: S, batches: Batches) -> Result<()>
    where
        S: Service<Vec<Delivery>, Response: Into<Outcomes>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + 'static,
    {
        self.with(&context, |desk| BatchSlot::new(desk, context.fork(), service.clone(), batches).run()).await
    }

    async fn with<F>(mut self, context: &Context, slot: impl Fn(Arc<Desk>) -> F) -> Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let settler = self.consumer.settler();
        let spans = context.publishers().spans().clone();
        let (dead_letters, observers) = (self.dead_letters.take(), self.observers.clone());
        let desk = Desk::new(self.handling.clone(), settler, dead_letters, observers, spans);
        let desk = Arc::new(desk);
        desk.observe(&Happening::Opened);
        let mut slots = JoinSet::new();
        for _ in 0..self.handling.concurrency {
            slots.spawn(watched(desk.clone(), slot(desk.clone())));
        }
        let settling = tokio::spawn(watched(desk.clone(), settling::settle(desk.clone())));
        let served = self.serve(&desk).await;
        desk.observe(&Happening::Draining);
        let drained = self.drain(&desk, slots).await;
        settling.abort();
        let _ = settling.await;
        let closed = self.close(&desk).await;
        let ended = served.and(drained).and(closed);
        desk.observe(&Happening::Closed(ended.as_ref().err()));
        ended
    }

    async fn serve(&mut self, desk: &Desk) -> Result<()> {
        let mut heart = Heart::new(desk.wants().heartbeat);
        loop {
            tokio::select! {
                biased;
                _ = self.ending.wait_for(|ending| *ending != Ending::No) => return Ok(()),
                error = desk.fatal() => return Err(error),
                due = desk.delays.due() => desk.push(due),
                () = heart.beat() => desk.observe(&Happening::Beats(Loop::Receiving)),
                received = desk.spans.receive(&mut *self.consumer, &*desk.settler, BATCH) => {
                    let received = received?;
                    desk.observe(&Happening::Received(received.len()));
                    desk.push(received.into_iter().map(Task::new));
                }
            }
        }
    }

    /// Hands back what has not begun, and lets what runs come to an end in time.
    async fn drain(&mut self, desk: &Desk, mut slots: JoinSet<()>) -> Result<()> {
        let waiting = desk.close();
        let ended = async {
            while slots.join_next().await.is_some() {}
            desk.verdicts.idle().await;
            desk.settler.flush().await.map(drop)
        };
        let ended = by(&mut self.ending, Instant::now() + self.limit, ended).await;
        tracing::debug!(waiting, drained = ended.is_some(), "drained");
        // What still runs is dropped, which hands its message back.
        slots.shutdown().await;
        match ended {
            Some(flushed) => flushed,
            None => {
                tracing::warn!(
                    "handlers did not end in time: they were dropped, and their messages handed back"
                );
                Ok(())
            }
        }
    }

    async fn close(self, desk: &Desk) -> Result<()> {
        let left = match *self.ending.borrow() {
            Ending::Now => Duration::ZERO,
            _ => LEAVING,
        };
        let on = || format!("topic `{}`, group `{}`", desk.settler.topic(), desk.settler.group());
        match tokio::time::timeout(left, self.consumer.close()).await {
            Ok(closed) => closed,
            Err(_) if left.is_zero() => Ok(()),
            Err(_) => {
                Err(Error::new(Kind::TimedOut, "leave the group", format!("not done after {left:?}"))
                    .on(on()))
            }
        }
    }
}

/// A panic of the worker's own parts, or of an observer, ends the worker: it must not go on without them in silence.
async fn watched(desk: Arc<Desk>, part: impl Future<Output = ()>) {
    if AssertUnwindSafe(part).catch_unwind().await.is_err() {
        desk.raise(Error::new(Kind::Unexpected, "run the worker", "a part of it, or an observer, panicked"));
    }
}

/// Runs `future` for as long as the worker's ending allows.
async fn by<T>(
    ending: &mut watch::Receiver<Ending>,
    otherwise: Instant,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = std::pin::pin!(future);
    loop {
        let until = match *ending.borrow_and_update() {
            Ending::No => otherwise,
            Ending::Drain(until) => until,
            Ending::Now => return None,
        };
        tokio::select! {
            biased;
            value = &mut future => return Some(value),
            () = tokio::time::sleep_until(until) => return None,
            Ok(()) = ending.changed() => {}
        }
    }
}
