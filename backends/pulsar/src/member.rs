//! The task behind a consumer: a member of its group on one set of connections after another.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::{self, Session, Supervision, within};
use anybroker_core::{Error, Kind, Result, async_trait};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::connections::Connections;
use crate::lane::{Asked, Lane};
use crate::topology::{Context, View};
use crate::wire::Event;

/// How long acknowledgements are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(5);
/// How long a server that was lost may refuse us, or miss what we need, before the consumer gives up.
const REFUSED_FOR: Duration = Duration::from_secs(60);

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

/// Connects, and looks at the group and the requirements again.
pub(crate) type Reopen = Box<dyn Fn() -> BoxFuture<'static, Result<(Connections, View)>> + Send + Sync>;

/// A member of a group.
pub(crate) struct Member {
    pub(crate) place: Place,
    pub(crate) reopen: Reopen,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// The broker handle is being closed.
    pub(crate) closing: watch::Receiver<bool>,
}

/// What a member needs for joining its group, again and again.
pub(crate) struct Place {
    pub(crate) context: Arc<Context>,
    pub(crate) session: Arc<Session>,
    /// The member's name, the same on every connection.
    pub(crate) name: String,
}

/// A member's place on one set of connections.
pub(crate) struct Joined {
    connections: Connections,
    lanes: Vec<Lane>,
    events: mpsc::UnboundedReceiver<(u32, Event)>,
    /// The lane that is served next.
    turn: usize,
}

/// Why the turn on one set of connections ended.
enum End {
    Lost,
    Failed(Error),
    /// The application closes the consumer, and waits for the answer.
    Closed(Option<oneshot::Sender<Result<()>>>),
}

impl Place {
    /// Joins the group on every partition.
    ///
    /// # Errors
    /// As [`Lane::subscribe`].
    ///
    /// # Cancel safety
    /// A cancelled call may have joined for a moment.
    pub(crate) async fn join(&self, mut connections: Connections, view: &View) -> Result<Joined> {
        let (sender, events) = mpsc::unbounded_channel();
        let subscription = self.session.subscription();
        let kind = self.context.config.subscription_type;
        let window = subscription.prefetch.div_ceil(view.count() as usize).min(u32::MAX as usize) as u32;
        let mut lanes = Vec::new();
        for partition in 0..view.count() {
            let topic = self.context.full(&view.name(partition));
            let wire = connections.to("receive", &topic).await?;
            let (group, name) = (subscription.group.to_string(), self.name.clone());
            let asked = Asked { topic, group, kind, name, window };
            lanes.push(Lane::subscribe(wire, partition, &asked, (partition, sender.clone())).await?);
        }
        for lane in &mut lanes {
            // Of a failover subscription the broker says which member is the active one.
            if kind != crate::config::SubscriptionType::Failover {
                lane.assign(&self.session);
            }
            lane.flow().await?;
        }
        let joined = Joined { connections, lanes, events, turn: 0 };
        joined.hold(self);
        Ok(joined)
    }

    /// Serves one set of connections until one is lost or the consumer is closed.
    async fn serve(
        &self,
        joined: &mut Joined,
        commands: &mut mpsc::Receiver<Command>,
        closing: &mut watch::Receiver<bool>,
    ) -> End {
        let mut lost = joined.connections.lost();
        let mut acks_at: Option<Instant> = None;
        let mut hold_at = Instant::now();
        loop {
            if self.session.ended().is_some() || *closing.borrow() {
                return End::Closed(None);
            }
            let full = joined.lanes.iter().any(Lane::has_arrived);
            let wakes = joined.lanes.iter().filter_map(Lane::wakes).min();
            let step = tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Flush(answer)) => {
                        // Nobody waits for it any more if the flush was cancelled.
                        let _ = answer.send(joined.acknowledge(&self.session, true).await);
                        Ok(())
                    }
                    Some(Command::Close(answer)) => return End::Closed(Some(answer)),
                    None => return End::Closed(None),
                },
                () = self.session.settlement() => {
                    acks_at.get_or_insert_with(|| Instant::now() + GATHER);
                    Ok(())
                }
                () = at(acks_at) => {
                    acks_at = None;
                    joined.acknowledge(&self.session, false).await
                }
                event = joined.events.recv() => match event {
                    Some((partition, event)) => {
                        if !joined.take(self, partition, event) {
                            return End::Lost;
                        }
                        if joined.lanes.iter().any(Lane::acknowledges_again) {
                            acks_at.get_or_insert_with(|| Instant::now() + GATHER);
                        }
                        Ok(())
                    }
                    None => return End::Lost,
                },
                _ = self.session.wait_for_room(), if full => Ok(()),
                // What follows does it.
                () = at(wakes) => Ok(()),
                () = tokio::time::sleep_until(hold_at) => {
                    hold_at = Instant::now() + self.context.config.keep_alive / 2;
                    joined.hold(self);
                    Ok(())
                }
                () = &mut lost => return End::Lost,
                () = closed(closing) => Ok(()),
            };
            let step = match step {
                Ok(()) => joined.take_in(self).await,
                error => error,
            };
            match step {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), Kind::Unsupported | Kind::Decode) => {
                    return End::Failed(error);
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection of a consumer failed");
                    return End::Lost;
                }
            }
        }
    }
}

impl Joined {
    /// Takes an event in; false ends the turn: where a topic moves, everything is looked up anew, and where the broker
    /// skips messages, the group is joined anew.
    fn take(&mut self, place: &Place, partition: u32, event: Event) -> bool {
        let Some(lane) = self.lanes.get_mut(partition as usize) else { return true };
        match event {
            Event::Message(message, payload) => return lane.arrive(message, payload),
            Event::Active(true) => {
                lane.activate(&place.session);
                lane_hold(lane, place);
            }
            Event::Active(false) => lane.revoke(&place.session),
            Event::Closed => return false,
        }
        true
    }

    /// Fills the session from what has arrived, the partitions in turn.
    async fn take_in(&mut self, place: &Place) -> Result<()> {
        let lanes = self.lanes.len();
        let mut left = place.session.room().messages;
        for at in 0..lanes {
            let lane = &mut self.lanes[(self.turn + at) % lanes];
            if left > 0 {
                let taken = lane.take_in(&place.session, left)?;
                left = left.saturating_sub(taken);
            }
            lane.flow().await?;
        }
        self.turn = (self.turn + 1) % lanes.max(1);
        Ok(())
    }

    /// What is ours is so until the broker may count us as dead.
    fn hold(&self, place: &Place) {
        self.lanes.iter().for_each(|lane| lane_hold(lane, place));
    }

    async fn acknowledge(&mut self, session: &Session, confirmed: bool) -> Result<()> {
        for lane in &mut self.lanes {
            lane.acknowledge(session, confirmed).await?;
        }
        Ok(())
    }

    /// Tells the broker everything that was acknowledged, and leaves.
    async fn leave(mut self, place: &Place, orderly: bool) -> Result<()> {
        let deadline = place.context.config.deadline;
        let left = within(deadline, "close", async {
            // A consumer that was dropped ends as a crash would, except that others need not wait for its connection.
            if orderly {
                self.acknowledge(&place.session, true).await?;
            }
            for lane in &self.lanes {
                lane.close().await?;
            }
            Ok(())
        });
        let left = left.await;
        self.revoke(place);
        left
    }

    fn revoke(&mut self, place: &Place) {
        self.lanes.iter_mut().for_each(|lane| lane.revoke(&place.session));
    }
}

fn lane_hold(lane: &Lane, place: &Place) {
    if lane.is_ours() {
        let until = lane.wire().confirmed() + place.context.config.patience();
        place.session.hold_until(lane.partition(), until);
    }
}

impl Member {
    /// Consumes until the consumer is closed or dropped.
    pub(crate) async fn run(mut self, joined: Joined) {
        let mut joined = joined;
        loop {
            let end = self.place.serve(&mut joined, &mut self.commands, &mut self.closing).await;
            match end {
                End::Closed(answer) => {
                    let left = joined.leave(&self.place, answer.is_some()).await;
                    if let Some(answer) = answer {
                        // Nobody waits for it any more if the close was cancelled.
                        let _ = answer.send(left);
                    }
                    let error = Error::new(Kind::Closed, "receive", "the consumer is closed");
                    return self.place.session.fail(error);
                }
                End::Failed(error) => {
                    joined.revoke(&self.place);
                    return self.place.session.fail(error);
                }
                End::Lost => {
                    joined.revoke(&self.place);
                    drop(joined);
                }
            }
            match self.rejoin().await {
                Ok(Some(again)) => joined = again,
                Ok(None) => return,
                Err(error) => return self.place.session.fail(error),
            }
        }
    }

    /// Connects and joins again; none if the consumer was closed meanwhile.
    async fn rejoin(&mut self) -> Result<Option<Joined>> {
        let mut waits = Supervision::new();
        let mut refused_since = None;
        let mut next = Instant::now();
        loop {
            if self.place.session.ended().is_some() || *self.closing.borrow() {
                return Err(Error::new(Kind::Closed, "receive", "the consumer is closed"));
            }
            let result = tokio::select! {
                result = try_again(&self.place, &self.reopen, next) => result,
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
                // A broker that is starting may refuse, or not have its topics yet.
                _ if error.is_retryable() => refused_since = None,
                _ if since.elapsed() > REFUSED_FOR => return Err(error),
                _ => {}
            }
            tracing::debug!(%error, "joining again failed; trying again");
            next = Instant::now() + waits.next_wait();
        }
    }
}

async fn try_again(place: &Place, reopen: &Reopen, at: Instant) -> Result<Joined> {
    tokio::time::sleep_until(at).await;
    let (connections, view) = reopen().await?;
    place.join(connections, &view).await
}

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
