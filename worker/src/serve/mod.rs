//! One subscription in work: receives, hands to the handlers, settles, and drains at the end.

mod batch_slot;
mod delays;
mod desk;
mod guard;
mod lanes;
mod open;
mod opening;
mod parking;
mod portion;
mod settling;
mod shelf;
mod slot;
mod transactions;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{
    Broker, Consumer, Delivery, Error, Kind, Result, Settler, Subscription, TransactionalPublisher,
};
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
pub(crate) use opening::Sources;
pub(crate) use settling::is_gone;
use slot::Slot;
use transactions::Transactor;

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
    pub(crate) sources: Sources,
    pub(crate) terms: Terms,
}

/// How a subscription is served.
pub(crate) struct Terms {
    pub(crate) broker: Broker,
    pub(crate) subscription: Subscription,
    pub(crate) handling: Handling,
    pub(crate) observers: Arc<[Arc<dyn Observer>]>,
    pub(crate) ending: watch::Receiver<Ending>,
    /// How long draining may take where nobody says otherwise: the subscription ends by itself.
    pub(crate) limit: Duration,
}

/// How many messages are received at once.
const BATCH: usize = 256;

/// How long to wait before what ended in doubt is opened again.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

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

    async fn with<F>(self, context: &Context, slot: impl Fn(Arc<Desk>) -> F) -> Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Serving { mut sources, terms } = self;
        loop {
            let desk = Arc::new(terms.desk(sources.consumer.settler(), context));
            let mut session =
                Session { consumer: sources.consumer, ending: terms.ending.clone(), limit: terms.limit };
            let transactor = sources.transactions.map(|it| terms.transactor(desk.clone(), it, context));
            let ended = session.run(&desk, &slot, transactor).await;
            let closed = session.close(&desk).await;
            let ended = ended.and(closed);
            desk.observe(&Happening::Closed(ended.as_ref().err()));
            match ended {
                Err(error) if desk.is_in_doubt() && *terms.ending.borrow() == Ending::No => {
                    tracing::warn!(%error, "nobody knows whether a transaction was committed: everything is opened again");
                    desk.observe(&Happening::Opening);
                    sources = terms.open_again().await?;
                }
                ended => return ended,
            }
        }
    }
}

impl Terms {
    fn desk(&self, settler: Arc<dyn Settler>, context: &Context) -> Desk {
        let dead_letters = self.subscription.dead_letter.as_ref().map(|policy| policy.topic.clone());
        let spans = context.all_publishers().spans().clone();
        Desk::new(self.handling.clone(), settler, dead_letters, self.observers.clone(), spans)
    }

    fn transactor(
        &self,
        desk: Arc<Desk>,
        publisher: Box<dyn TransactionalPublisher>,
        context: &Context,
    ) -> Transactor {
        Transactor::new(desk, self.broker.clone(), publisher, context.all_publishers().clone())
    }

    /// Opens what ended in doubt, which ends the doubt; for as long as it takes.
    ///
    /// # Errors
    /// What does not pass; `Closed` if the worker is to end meanwhile.
    async fn open_again(&self) -> Result<Sources> {
        let mut ending = self.ending.clone();
        loop {
            let opening = Sources::open(&self.broker, &self.subscription, &self.handling);
            let opened = tokio::select! {
                biased;
                _ = ending.wait_for(|ending| *ending != Ending::No) => return Err(in_doubt()),
                opened = opening => opened,
            };
            match opened {
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "the broker cannot be reached; trying again");
                    tokio::time::sleep(OPEN_AGAIN).await;
                }
                opened => return opened,
            }
        }
    }
}

fn in_doubt() -> Error {
    let text = "the worker ended before it learned whether its last transaction was committed";
    Error::new(Kind::Closed, "run the worker", text)
        .advice("start it again with the same transactional id: it goes on where the broker says")
}

/// One consumer in work.
struct Session {
    consumer: Box<dyn Consumer>,
    ending: watch::Receiver<Ending>,
    limit: Duration,
}

impl Session {
    /// Until the worker ends, or this can't go on; then drains.
    async fn run<F>(
        &mut self,
        desk: &Arc<Desk>,
        slot: impl Fn(Arc<Desk>) -> F,
        transactor: Option<Transactor>,
    ) -> Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        desk.observe(&Happening::Opened);
        let (mut slots, mut settling) = (JoinSet::new(), JoinSet::new());
        for _ in 0..desk.handling.concurrency {
            slots.spawn(watched(desk.clone(), slot(desk.clone())));
        }
        settling.spawn(watched(desk.clone(), settling::settle(desk.clone())));
        if let Some(transactor) = transactor {
            settling.spawn(watched(desk.clone(), transactor.run()));
        }
        let served = self.serve(desk).await;
        desk.observe(&Happening::Draining);
        let drained = self.drain(desk, slots).await;
        settling.shutdown().await;
        served.and(drained)
    }

    async fn serve(&mut self, desk: &Desk) -> Result<()> {
        let mut heart = Heart::new(desk.wants().heartbeat);
        loop {
            let received = tokio::select! {
                biased;
                _ = self.ending.wait_for(|ending| *ending != Ending::No) => return Ok(()),
                error = desk.fatal() => return Err(error),
                due = desk.delays.due() => {
                    desk.push(due);
                    continue;
                }
                () = heart.beat() => {
                    desk.observe(&Happening::Beats(Loop::Receiving));
                    continue;
                }
                received = desk.spans.receive(&mut *self.consumer, &*desk.settler, BATCH) => received?,
            };
            let is_full = received.len() == BATCH;
            desk.observe(&Happening::Received(received.len()));
            desk.push(received.into_iter().map(Task::new));
            if is_full {
                // They are handled while they are in the processor's cache.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Hands back what has not begun, and lets what runs come to an end in time.
    async fn drain(&mut self, desk: &Desk, mut slots: JoinSet<()>) -> Result<()> {
        let waiting = desk.close();
        let ended = async {
            while slots.join_next().await.is_some() {}
            desk.verdicts.idle().await;
            if let Some(done) = &desk.done {
                done.finish().await;
            }
            desk.settler.flush().await.map(drop)
        };
        let ended = by(&mut self.ending, Instant::now() + self.limit, ended).await;
        tracing::debug!(waiting, drained = ended.is_some(), "drained");
        // What still runs is dropped, which hands its message back.
        slots.shutdown().await;
        match ended {
            // What was acknowledged there comes again, to whomever has the partition now.
            Some(Err(error)) if error.kind() == Kind::Fenced => {
                tracing::warn!(%error, "a partition was taken away before its last acknowledgements were told");
                Ok(())
            }
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
