//! The task behind a consumer: a member of its group on one connection after another.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::{self, Session, within};
use anybroker_core::{Error, Kind, Result, async_trait};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::census::{Census, View};
use crate::connect::{Link, Live};
use crate::lanes::{Arrival, Arrived, Lanes};
use crate::locks::Locks;
use crate::names::Layout;
use crate::sending::Verify;
use crate::sharing::{candidates, chance, next_look, surplus};

/// How long acknowledgements are gathered: what comes together is one frame.
const GATHER: Duration = Duration::from_millis(2);
/// A window so small runs empty meanwhile: nothing is gathered.
const SMALL: u16 = 64;
/// How long an acknowledgement waits behind a gap before it is sent by itself.
const SINGLES_AFTER: Duration = Duration::from_millis(50);
/// How long a server that was lost may refuse us, or miss what we need, before the consumer gives up.
const REFUSED_FOR: Duration = Duration::from_secs(30);

/// What the application asks of the task.
#[derive(Debug)]
pub(crate) enum Command {
    Flush(oneshot::Sender<Result<()>>),
    Close(oneshot::Sender<Result<()>>),
}

/// The session's way to the task.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) deadline: Duration,
}

impl Handle {
    async fn ask(&self, command: fn(oneshot::Sender<Result<()>>) -> Command) -> Result<()> {
        within(self.deadline, "flush", async {
            let (answer, answered) = oneshot::channel();
            let ended = || Error::new(Kind::Closed, "flush", "the consumer has ended");
            self.commands.send(command(answer)).await.map_err(|_| ended())?;
            answered.await.map_err(|_| ended())?
        })
        .await
    }
}

#[async_trait]
impl kit::Link for Handle {
    async fn flush(&self) -> Result<()> {
        self.ask(Command::Flush).await
    }

    async fn close(&self) -> Result<()> {
        self.ask(Command::Close).await
    }
}

/// A member of a group.
pub(crate) struct Member {
    pub(crate) place: Place,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// The broker handle is being closed.
    pub(crate) closing: watch::Receiver<bool>,
}

/// What a member needs for joining its group, again and again.
pub(crate) struct Place {
    pub(crate) link: Arc<Link>,
    pub(crate) session: Arc<Session>,
    pub(crate) layout: Layout,
    pub(crate) prefetch: u16,
    pub(crate) locks: Locks,
    pub(crate) verify: Verify,
}

/// Why a connection's turn ended.
enum End {
    Lost,
    /// The application closes the consumer, and waits for the answer.
    Closed(Option<oneshot::Sender<Result<()>>>),
}

impl Member {
    /// Consumes until the consumer is closed or dropped. `joined` is the first connection, joined already.
    pub(crate) async fn run(mut self, joined: Joined) {
        let mut joined = joined;
        loop {
            let end = self.serve(&mut joined).await;
            if let End::Closed(answer) = end {
                // A consumer that was dropped ends as a crash would, except that its channels close at once.
                let result = if answer.is_some() { joined.lanes.flush().await } else { Ok(()) };
                joined.lanes.close().await;
                if let Some(answer) = answer {
                    // Nobody waits for it any more if the close was cancelled.
                    let _ = answer.send(result);
                }
                self.place.session.fail(Error::new(Kind::Closed, "receive", "the consumer is closed"));
                return;
            }
            joined.lanes.close().await;
            match self.rejoin().await {
                Ok(Some(again)) => joined = again,
                Ok(None) => return,
                Err(error) => return self.place.session.fail(error),
            }
        }
    }

    /// Waits for the next connection and joins on it; none if the consumer was closed meanwhile.
    async fn rejoin(&mut self) -> Result<Option<Joined>> {
        let mut refused_since = None;
        loop {
            if self.place.session.ended().is_some() || *self.closing.borrow() {
                return Err(Error::new(Kind::Closed, "receive", "the consumer is closed"));
            }
            let result = tokio::select! {
                result = self.place.join_again() => result,
                command = self.commands.recv() => {
                    if answer_while_away(command) { return Ok(None) } else { continue }
                }
                () = closed(&mut self.closing) => continue,
                () = self.place.session.wait_until(|s| s.ended().map(|_| ())) => continue,
            };
            let error = match result {
                Ok(joined) => return Ok(Some(joined)),
                Err(error) => error,
            };
            let since = *refused_since.get_or_insert_with(Instant::now);
            match error.kind() {
                Kind::Unmet | Kind::InvalidConfiguration | Kind::Unsupported => return Err(error),
                // A server that is starting may refuse, or not have its queues yet.
                _ if error.is_retryable() => refused_since = None,
                _ if since.elapsed() > REFUSED_FOR => return Err(error),
                _ => {}
            }
            tracing::debug!(%error, "joining again failed; trying again");
            self.place.link.suspect();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Serves one connection until it is lost or the consumer is closed.
    async fn serve(&mut self, joined: &mut Joined) -> End {
        let gather = if self.place.prefetch < SMALL { Duration::ZERO } else { GATHER };
        let (mut acks_at, mut singles_at): (Option<Instant>, Option<Instant>) = (None, None);
        let mut looking = Looking::default();
        loop {
            if self.place.session.ended().is_some() || *self.closing.borrow() {
                return End::Closed(None);
            }
            let roomy = self.place.session.room().messages > 0;
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Flush(answer)) => {
                        // Nobody waits for it any more if the flush was cancelled.
                        let _ = answer.send(joined.lanes.flush().await);
                    }
                    Some(Command::Close(answer)) => return End::Closed(Some(answer)),
                    None => return End::Closed(None),
                },
                () = self.place.session.settlement(), if acks_at.is_none() => {
                    acks_at = Some(Instant::now() + gather);
                }
                () = at(acks_at) => {
                    acks_at = None;
                    joined.lanes.acknowledge(false).await;
                    singles_at.get_or_insert_with(|| Instant::now() + SINGLES_AFTER);
                    self.place.release_drained(joined).await;
                }
                () = at(singles_at) => {
                    joined.lanes.acknowledge(true).await;
                    singles_at = None;
                }
                arrived = joined.lanes.arrival(), if roomy => self.place.arrived(joined, arrived).await,
                () = tokio::time::sleep_until(joined.next_look), if looking.is_idle() => {
                    looking.start(self.place.view(joined));
                }
                view = looking.done() => {
                    joined.next_look = Instant::now() + next_look();
                    let acted = match view {
                        Ok(view) => self.place.act(joined, view).await,
                        Err(error) => Err(error),
                    };
                    if let Err(error) = acted {
                        tracing::debug!(%error, "looking after the partitions failed");
                        self.place.link.suspect();
                        if error.kind() == Kind::NotFound && joined.live.is_connected() {
                            self.place.session.fail(error);
                        }
                    }
                }
                () = self.place.link.lost(joined.live.epoch) => return End::Lost,
                () = closed(&mut self.closing) => {}
            }
        }
    }
}

impl Place {
    async fn join_again(&self) -> Result<Joined> {
        let live = self.link.live(RECONNECT_TURN).await?;
        (self.verify)(live.clone()).await?;
        self.join(live).await
    }

    /// Joins the group on `live`.
    pub(crate) async fn join(&self, live: Live) -> Result<Joined> {
        let lanes = Lanes::new(self.session.clone(), self.layout.clone(), live.clone(), self.prefetch);
        let census = match self.layout.partitions {
            Some(_) => Some(Census::join(&live, self.layout.names.members()).await?),
            None => None,
        };
        let mut joined = Joined { live, lanes, census, next_look: Instant::now() + next_look() };
        match self.layout.partitions {
            Some(_) => {
                let view = self.view(&joined).await?;
                self.act(&mut joined, view).await?;
            }
            None => joined.lanes.open(0, None).await?,
        }
        Ok(joined)
    }

    async fn arrived(&self, joined: &mut Joined, (partition, generation, arrival): Arrived) {
        match arrival {
            Arrival::Deliveries(deliveries) => joined.lanes.push(partition, generation, deliveries),
            Arrival::Ended(error) => {
                if joined.lanes.ended(partition, generation).await {
                    tracing::debug!(partition, ?error, "a channel ended; it is opened again");
                    // At the next look, so that a queue that is gone is not asked for in a loop.
                    self.link.suspect();
                }
            }
        }
    }

    async fn release_drained(&self, joined: &mut Joined) {
        let now = Instant::now();
        let drained =
            |(partition, until): &(u32, Instant)| *until <= now || self.session.is_drained(*partition);
        let draining: Vec<_> = joined
            .lanes
            .iter()
            .filter_map(|(partition, lane)| Some((partition, lane.drain_until?)))
            .collect();
        for (partition, _) in draining.into_iter().filter(drained) {
            joined.lanes.release(partition).await;
        }
    }

    /// What is to be known before partitions are taken or given.
    fn view(&self, joined: &Joined) -> BoxFuture<'static, Result<View>> {
        let (Some(partitions), Some(census)) = (self.layout.partitions, &joined.census) else {
            return std::future::ready(Ok(View { share: 1, free: BTreeSet::new() })).boxed();
        };
        let (census, layout) = (census.clone(), self.layout.clone());
        census.view(layout, partitions, joined.lanes.held()).boxed()
    }

    /// Takes or gives partitions: see the module `sharing`.
    async fn act(&self, joined: &mut Joined, view: View) -> Result<()> {
        let lanes = &mut joined.lanes;
        let Some(partitions) = self.layout.partitions else {
            return if lanes.held().is_empty() { lanes.open(0, None).await } else { Ok(()) };
        };
        for partition in surplus(&lanes.held(), view.share) {
            self.session.drain(partition);
            if let Some(lane) = lanes.get_mut(partition) {
                lane.drain_until = Some(Instant::now() + self.session.subscription().drain);
            }
        }
        for partition in candidates(partitions, &lanes.held(), chance()) {
            if lanes.held().len() >= view.share || !view.free.contains(&partition) {
                continue;
            }
            if let Some(lock) = self.locks.take(&joined.live, &self.layout.queue(partition)).await? {
                lanes.open(partition, Some(lock)).await?;
            }
        }
        self.release_drained(joined).await;
        Ok(())
    }
}

/// How long one wait for a connection takes before the state is looked at again.
const RECONNECT_TURN: Duration = Duration::from_secs(1);
/// Between two attempts to join.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers a command while there is no connection; says whether it ends the consumer.
fn answer_while_away(command: Option<Command>) -> bool {
    let text = "there is no connection: what was not told to the broker is delivered again";
    let away = Err(Error::new(Kind::Disconnected, "flush", text));
    // Nobody waits for an answer any more if the call was cancelled.
    match command {
        Some(Command::Flush(answer)) => {
            let _ = answer.send(away);
            false
        }
        Some(Command::Close(answer)) => {
            let _ = answer.send(away);
            true
        }
        None => true,
    }
}

/// Waits until the broker handle is closed. One that is only dropped leaves its consumers as they are.
async fn closed(closing: &mut watch::Receiver<bool>) {
    if closing.wait_for(|closing| *closing).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// A member's place on one connection.
pub(crate) struct Joined {
    live: Live,
    lanes: Lanes,
    census: Option<Census>,
    next_look: Instant,
}

/// A view that is being gathered, while everything else goes on.
#[derive(Default)]
struct Looking(Option<BoxFuture<'static, Result<View>>>);

impl Looking {
    fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    fn start(&mut self, view: BoxFuture<'static, Result<View>>) {
        self.0 = Some(view);
    }

    /// Waits for the view; for ever, if none is being gathered.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn done(&mut self) -> Result<View> {
        let Some(view) = &mut self.0 else { return std::future::pending().await };
        let view = view.await;
        self.0 = None;
        view
    }
}
