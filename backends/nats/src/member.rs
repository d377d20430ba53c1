//! The task behind a consumer: a member of its group, on one connection after another.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::Session;
use anybroker_core::{Error, Kind, Result};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::bucket::{self, Bucket, Lease};
use crate::lanes::Lanes;
use crate::link::Link;
use crate::sharing::{MEMBER, View, chance, next_look};

/// Looks at the group and the requirements again on a new connection.
pub(crate) type Verify = Box<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// How long a server that was lost may refuse us, or miss what we need, before the consumer gives up.
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// The pause between two attempts to go on.
const PAUSE: Duration = Duration::from_millis(200);

/// What the application asks of the task.
#[derive(Debug)]
pub(crate) struct Close(pub(crate) oneshot::Sender<Result<()>>);

/// A member of a group.
pub(crate) struct Member {
    pub(crate) lanes: Lanes,
    /// What the group's keys in the bucket begin with.
    pub(crate) prefix: String,
    pub(crate) verify: Verify,
    pub(crate) commands: mpsc::Receiver<Close>,
    /// The broker handle is being closed.
    pub(crate) closing: watch::Receiver<bool>,
    own: Option<Lease>,
    next_look: Instant,
    next_renewal: Instant,
    next_progress: Instant,
}

/// Why a connection's turn ended.
enum End {
    Lost,
    /// The application closes the consumer, and waits for the answer; or it was dropped.
    Closed(Option<oneshot::Sender<Result<()>>>),
}

impl Member {
    pub(crate) fn new(
        lanes: Lanes,
        prefix: String,
        verify: Verify,
        commands: mpsc::Receiver<Close>,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let now = Instant::now();
        let (next_look, next_renewal) = (now, now);
        let next_progress = now + lanes.layout.ack_wait / 3;
        Member { lanes, prefix, verify, commands, closing, own: None, next_look, next_renewal, next_progress }
    }

    fn session(&self) -> &Arc<Session> {
        &self.lanes.session
    }

    /// Joins the group: takes what partitions are free and our share.
    pub(crate) async fn join(&mut self) -> Result<()> {
        let seen = self.looking(true).await?;
        self.act(seen).await
    }

    /// Consumes until the consumer is closed or dropped.
    pub(crate) async fn run(mut self, mut epoch: u64) {
        loop {
            match self.serve(epoch).await {
                End::Lost => match self.come_back().await {
                    Ok(Ok(again)) => epoch = again,
                    Ok(Err(answer)) => return self.end(answer, true).await,
                    Err(error) => return self.session().fail(error),
                },
                End::Closed(answer) => return self.end(answer, false).await,
            }
        }
    }

    async fn end(mut self, answer: Option<oneshot::Sender<Result<()>>>, away: bool) {
        let result = if away { Err(is_away()) } else { self.leave().await };
        self.session().fail(Error::new(Kind::Closed, "receive", "the consumer is closed"));
        if let Some(answer) = answer {
            // Nobody waits for it any more if the close was cancelled.
            let _ = answer.send(result);
        }
    }

    async fn leave(&mut self) -> Result<()> {
        let closed = self.lanes.close().await;
        match self.own.take() {
            Some(own) => closed.and(self.lanes.bucket.release(&self.lanes.link, &own).await),
            None => closed,
        }
    }

    /// Serves one connection until it is lost or the consumer is closed.
    async fn serve(&mut self, epoch: u64) -> End {
        let mut looking = Looking(None);
        loop {
            if self.session().ended().is_some() || *self.closing.borrow() {
                return End::Closed(None);
            }
            if let Err(error) = self.turn().await {
                if error.kind() == Kind::NotFound {
                    self.session().fail(error);
                    return End::Closed(None);
                }
                tracing::debug!(%error, "going on with the partitions failed; it is tried again");
                tokio::select! {
                    () = self.lanes.link.lost(epoch) => return End::Lost,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
            let (link, session) = (self.lanes.link.clone(), self.session().clone());
            let (lapses_at, leaves_at) = (self.lanes.lapses_at(), self.lanes.leaves_at());
            tokio::select! {
                command = self.commands.recv() => return End::Closed(command.map(|close| close.0)),
                () = session.settlement() => {}
                came = self.lanes.arrival() => {
                    if let Err(error) = self.lanes.take(came).await {
                        tracing::debug!(%error, "taking messages over failed");
                    }
                }
                () = at(lapses_at) => {}
                () = at(leaves_at) => {}
                () = tokio::time::sleep_until(self.next_progress) => {
                    self.next_progress = Instant::now() + self.lanes.layout.ack_wait / 3;
                    if let Err(error) = self.lanes.progress().await {
                        tracing::debug!(%error, "progress could not be told");
                    }
                }
                () = tokio::time::sleep_until(self.next_look), if looking.0.is_none() => {
                    looking.0 = Some(self.looking(Instant::now() >= self.next_renewal));
                }
                seen = looking.done() => {
                    self.next_look = Instant::now() + next_look();
                    let acted = match seen {
                        Ok(seen) => self.act(seen).await,
                        Err(error) => Err(error),
                    };
                    if let Err(error) = acted {
                        tracing::debug!(%error, "looking after the partitions failed; it is tried again");
                    }
                }
                () = link.lost(epoch) => return End::Lost,
                () = closed(&mut self.closing) => {}
            }
        }
    }

    /// What is to be done whenever something has happened.
    async fn turn(&mut self) -> Result<()> {
        self.lanes.lapse();
        self.lanes.release_drained().await?;
        self.lanes.let_others().await?;
        self.lanes.mend().await?;
        self.lanes.pull().await
    }

    /// Waits for the next connection and goes on with it; or says that the consumer was closed meanwhile.
    #[allow(clippy::type_complexity, reason = "how it went, and who waits for it")]
    async fn come_back(&mut self) -> Result<Result<u64, Option<oneshot::Sender<Result<()>>>>> {
        let mut refused_since = None;
        loop {
            if self.session().ended().is_some() || *self.closing.borrow() {
                return Ok(Err(None));
            }
            self.lanes.lapse();
            let link = self.lanes.link.clone();
            let session = self.session().clone();
            let result = tokio::select! {
                up = link.up("receive", REFUSED_FOR) => match up {
                    Ok(epoch) => tokio::select! {
                        gone_on = self.go_on(epoch) => gone_on,
                        () = link.lost(epoch) => Err(lost_again()),
                    },
                    Err(error) => Err(error),
                },
                command = self.commands.recv() => return Ok(Err(command.map(|close| close.0))),
                () = at(self.lanes.lapses_at()) => continue,
                () = closed(&mut self.closing) => continue,
                () = session.wait_until(|s| s.ended().map(|_| ())) => continue,
            };
            let error = match result {
                Ok(epoch) => return Ok(Ok(epoch)),
                Err(error) => error,
            };
            let since = *refused_since.get_or_insert_with(Instant::now);
            match error.kind() {
                Kind::Unmet | Kind::InvalidConfiguration | Kind::Closed => return Err(error),
                // A server that is starting may refuse, or not have its streams yet.
                _ if error.is_retryable() => refused_since = None,
                _ if since.elapsed() > REFUSED_FOR => return Err(error),
                _ => {}
            }
            tracing::debug!(%error, "going on failed; trying again");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn go_on(&mut self, epoch: u64) -> Result<u64> {
        let seen = self.looking(true).await?;
        self.renewed(&seen);
        (self.verify)().await?;
        self.lanes.resume().await?;
        self.act(seen).await?;
        Ok(epoch)
    }

    /// Renews our entries if it is time, and looks at the group.
    fn looking(&self, renew: bool) -> BoxFuture<'static, Result<Seen>> {
        let (link, bucket) = (self.lanes.link.clone(), self.lanes.bucket.clone());
        let (prefix, own) = (self.prefix.clone(), self.own.clone());
        let leases = if renew { self.lanes.leases() } else { Vec::new() };
        async move {
            let own = match (renew, own) {
                (true, Some(own)) => bucket.renew(&link, &own).await?,
                (_, own) => own,
            };
            let own = match own {
                Some(own) => own,
                None => join_group(&link, &bucket, &prefix).await?,
            };
            let renewals = leases.into_iter().map(|(partition, lease)| {
                let (link, bucket) = (&link, &bucket);
                async move { (partition, bucket.renew(link, &lease).await) }
            });
            let leases = join_all(renewals).await;
            let view = View::new(&bucket::keys(&link, "receive", &prefix).await?, &prefix);
            Ok(Seen { own, leases, renewed: renew, view })
        }
        .boxed()
    }

    fn renewed(&mut self, seen: &Seen) {
        self.own = Some(seen.own.clone());
        for (partition, lease) in &seen.leases {
            // After an error nothing is known: until it lapses, it is ours.
            if let Ok(lease) = lease {
                self.lanes.renewed(*partition, lease.clone());
            }
        }
        if seen.renewed && seen.leases.iter().all(|(_, lease)| lease.is_ok()) {
            self.next_renewal = Instant::now() + self.lanes.bucket.timeout / 4;
        }
    }

    /// Takes or gives partitions.
    async fn act(&mut self, seen: Seen) -> Result<()> {
        self.renewed(&seen);
        let partitions = self.lanes.layout.partitions;
        let share = seen.view.share(partitions, self.lanes.bucket.member());
        self.lanes.keep(share);
        for partition in seen.view.free(partitions, chance()) {
            if self.lanes.staying().len() >= share {
                break;
            }
            let key = format!("{}.{partition}", self.prefix);
            let Some(lease) = self.lanes.bucket.take(&self.lanes.link, key).await? else { continue };
            if let Err(error) = self.lanes.open(partition, lease.clone()).await {
                self.lanes.shared.lanes().remove(&partition);
                let _ = self.lanes.bucket.release(&self.lanes.link, &lease).await;
                return Err(error);
            }
        }
        Ok(())
    }
}

async fn join_group(link: &Link, bucket: &Bucket, prefix: &str) -> Result<Lease> {
    let key = format!("{prefix}.{MEMBER}{}", bucket.member());
    bucket.take(link, key).await?.ok_or_else(|| {
        Error::new(Kind::Unexpected, "receive", "somebody else has this member's key").with_retryable(true)
    })
}

/// What renewing and looking came to.
struct Seen {
    own: Lease,
    leases: Vec<(u32, Result<Option<Lease>>)>,
    renewed: bool,
    view: View,
}

/// A look that is under way, while everything else goes on.
struct Looking(Option<BoxFuture<'static, Result<Seen>>>);

impl Looking {
    /// Waits for what it shows; for ever, if none is under way.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn done(&mut self) -> Result<Seen> {
        let Some(looking) = &mut self.0 else { return std::future::pending().await };
        let seen = looking.await;
        self.0 = None;
        seen
    }
}

fn lost_again() -> Error {
    Error::new(
        Kind::Disconnected,
        "receive",
        "the connection was lost again while the partitions were taken up",
    )
}

fn is_away() -> Error {
    let text = "there is no connection: what was not told to the server is delivered again";
    Error::new(Kind::Disconnected, "close", text)
}

/// Waits until the broker handle is closed. One that is only dropped leaves its consumers as they are.
pub(crate) async fn closed(closing: &mut watch::Receiver<bool>) {
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
