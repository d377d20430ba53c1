//! The task behind a consumer: asks for messages while there is room, keeps them, and gives back what is left.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::{self, Ack, Incoming, Session, Supervision, within};
use anybroker_core::{Error, Kind, RecordBuffer, Result, Settled, async_trait};
use aws_sdk_sqs::types::{Message as Received, MessageSystemAttributeName as System};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::deletes::{Delete, delete};
use crate::held::{Held, Lease};
use crate::leases::{Changed, change, give_back};
use crate::polls::{Answer, Polls};
use crate::record::{record, system};

/// SQS keeps the order within a message group, whoever receives: for the session everything is one partition.
pub(crate) const PARTITION: u32 = 0;
/// How long the server may refuse us, or miss the queue, before the consumer gives up.
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// How long a request that is still waiting has to bring what was given back.
const STRAYS: Duration = Duration::from_secs(1);

/// What the application asks of the task.
#[derive(Debug)]
pub(crate) struct Close(oneshot::Sender<Result<()>>);

/// The session's way to its tasks.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) deletes: mpsc::UnboundedSender<Delete>,
    pub(crate) close: mpsc::Sender<Close>,
    pub(crate) held: Arc<Held>,
    pub(crate) deadline: Duration,
}

#[async_trait]
impl kit::Link for Handle {
    fn confirms(&self) -> bool {
        true
    }

    async fn acknowledge(&self, acks: &[Ack]) -> Vec<Result<Settled>> {
        delete(&self.deletes, acks.iter().map(|ack| ack.native)).await
    }

    async fn flush(&self) -> Result<()> {
        within(self.deadline, "flush", async {
            self.held.deleted().await;
            Ok(())
        })
        .await
    }

    async fn close(&self) -> Result<()> {
        within(self.deadline, "close", async {
            let (answer, answered) = oneshot::channel();
            let ended = || Error::new(Kind::Closed, "close", "the consumer has ended");
            self.close.send(Close(answer)).await.map_err(|_| ended())?;
            answered.await.map_err(|_| ended())?
        })
        .await
    }
}

/// Looks at the queue and the requirements again after the server was away.
pub(crate) type Verify = Box<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A consumer of one queue.
pub(crate) struct Member {
    pub(crate) polls: Polls,
    pub(crate) session: Arc<Session>,
    pub(crate) held: Arc<Held>,
    pub(crate) close: mpsc::Receiver<Close>,
    /// Groups that turned out to be lost.
    pub(crate) lost: mpsc::UnboundedReceiver<Vec<(u64, Lease)>>,
    /// Messages on their way back.
    pub(crate) returns: FuturesUnordered<BoxFuture<'static, ()>>,
    /// The broker handle is being closed.
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) verify: Verify,
    pub(crate) visibility: Duration,
    pub(crate) deadline: Duration,
}

/// What a running member has under way.
struct State {
    generation: u32,
    buffer: RecordBuffer,
    /// The most attempts that a message comes with: what was received and never tried counts at the server too.
    most_attempts: u32,
    supervision: Supervision,
    /// Since when the server has been refusing us.
    refused_since: Option<Instant>,
    /// Nothing has been received since a request failed.
    outage: bool,
    /// Until when nothing is asked for.
    wait_until: Option<Instant>,
    /// When this task last looked: what arrives now was given to us after that.
    looked: Instant,
}

impl Member {
    /// Receives until the consumer is closed or dropped, and then gives everything back.
    pub(crate) async fn run(mut self) {
        let limit = self.session.subscription().dead_letter.as_ref().and_then(|policy| policy.max_attempts);
        let mut state = State {
            generation: self.session.assign(PARTITION),
            buffer: RecordBuffer::new(),
            most_attempts: limit.map_or(u32::MAX, |limit| limit.saturating_sub(1)),
            supervision: Supervision::new(),
            refused_since: None,
            outage: false,
            wait_until: None,
            looked: Instant::now(),
        };
        let answer = self.serve(&mut state).await;
        if answer.is_some() {
            self.held.deleted().await;
        }
        self.session.revoke(PARTITION);
        self.session.fail(Error::new(Kind::Closed, "receive", "the consumer is closed"));
        self.give_back_all().await;
        if let Some(Close(answer)) = answer {
            // Nobody waits for it any more if the close was cancelled.
            let _ = answer.send(Ok(()));
        }
        self.reap().await;
    }

    /// Serves until the end; gives whoever waits for it.
    async fn serve(&mut self, state: &mut State) -> Option<Close> {
        let mut extensions = FuturesUnordered::new();
        let mut tick = tokio::time::interval((self.visibility / 10).min(Duration::from_secs(1)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.session.ended().is_some() || *self.closing.borrow() {
                return None;
            }
            if state.wait_until.is_none_or(|until| until <= Instant::now()) {
                state.wait_until = None;
                self.polls.fill(&self.session);
            }
            let (woken, due) = (state.looked, self.polls.due());
            tokio::select! {
                close = self.close.recv() => return close,
                answer = self.polls.next() => self.received(state, answer, woken).await,
                Some(leases) = self.lost.recv() => self.return_lost(leases),
                () = self.session.settlement() => {}
                () = at(due) => {}
                () = at(state.wait_until) => {}
                _ = tick.tick() => {
                    self.lapse();
                    for chunk in self.held.begin_extend().chunks(crate::config::BATCH) {
                        extensions.push(extend(self.polls.client.clone(), self.polls.url.clone(), chunk.to_vec(), self.visibility));
                    }
                }
                Some(()) = self.returns.next() => {}
                Some(extended) = extensions.next() => self.extended(extended),
                () = closed(&mut self.closing) => {}
            }
            state.looked = Instant::now();
        }
    }

    async fn received(&mut self, state: &mut State, answer: Answer, since: Instant) {
        match answer {
            Ok(messages) => {
                state.refused_since = None;
                if std::mem::take(&mut state.outage) {
                    state.supervision.succeeded();
                    if let Err(error) = (self.verify)().await {
                        tracing::warn!(%error, "what is there after an outage is not what is asked for");
                        self.keep_strays(&messages);
                        return self.refused(state, error);
                    }
                }
                self.take_in(state, messages, since);
            }
            Err(error) => self.refused(state, error),
        }
    }

    /// Ends the session if the error cannot pass; otherwise waits before the next request.
    fn refused(&self, state: &mut State, error: Error) {
        state.outage = true;
        if error.is_retryable() {
            state.refused_since = None;
        }
        let since = *state.refused_since.get_or_insert_with(Instant::now);
        let hopeless = match error.kind() {
            Kind::Unmet | Kind::InvalidConfiguration | Kind::Unsupported => true,
            // A queue that was just created, or a policy that was just changed, is not seen everywhere at once.
            _ => !error.is_retryable() && since.elapsed() > REFUSED_FOR,
        };
        if hopeless {
            return self.session.fail(error);
        }
        tracing::debug!(%error, "receiving failed; trying again");
        state.wait_until = Some(Instant::now() + state.supervision.next_wait());
    }

    fn take_in(&mut self, state: &mut State, messages: Vec<Received>, since: Instant) {
        if messages.is_empty() {
            return;
        }
        self.lose_known(&messages);
        let mut incoming = Vec::with_capacity(messages.len());
        for message in messages {
            let text = |name| system(&message, &name).unwrap_or_default();
            let count: u32 = text(System::ApproximateReceiveCount).parse().unwrap_or(1);
            let stored = text(System::SentTimestamp).parse().unwrap_or(0);
            let native = self.held.insert(self.lease(&message, since));
            incoming.push(Incoming {
                record: record(&mut state.buffer, &message),
                native,
                offset: None,
                stored,
                attempts: count.saturating_sub(1).min(state.most_attempts),
                redelivered: count > 1,
            });
        }
        self.session.push_all(PARTITION, state.generation, incoming);
    }

    /// A message that we have is given to us anew, so what we have of its group is void.
    fn lose_known(&self, messages: &[Received]) {
        let groups: Vec<_> =
            messages.iter().filter_map(|message| self.held.knows(message.message_id()?)).collect();
        if groups.is_empty() {
            return;
        }
        let mut leases = self.held.take(|lease| groups.contains(&lease.group));
        self.session.lose(PARTITION, leases.iter().map(|(number, _)| *number));
        leases.retain(|(_, lease)| !messages.iter().any(|m| m.message_id() == Some(lease.message.as_str())));
        self.return_lost(leases);
    }

    /// Forgets the groups of which a message's time is over.
    fn lapse(&self) {
        for group in self.held.lapsed() {
            let leases = self.held.take(|lease| lease.group == group);
            tracing::warn!(
                group,
                messages = leases.len(),
                "a visibility timeout is over; SQS delivers the messages again"
            );
            self.session.lose(PARTITION, leases.iter().map(|(number, _)| *number));
            self.return_lost(leases);
        }
    }

    /// Gives back what is still ours of a group that is lost, so that the group is not blocked for longer.
    fn return_lost(&self, leases: Vec<(u64, Lease)>) {
        let (client, url) = (self.polls.client.clone(), self.polls.url.clone());
        self.returns.push(async move { give_back(&client, &url, leases).await }.boxed());
    }

    fn extended(&self, extended: Extended) {
        let Extended { asked, numbers, changed } = extended;
        for (number, changed) in numbers.into_iter().zip(changed) {
            self.held.end_extend(number, (changed == Changed::Done).then_some(asked));
            if changed == Changed::Lost {
                self.held.expire(number);
            }
        }
    }

    /// Gives everything back, also what a request that is still waiting gets of that: whoever ends now would take it along.
    async fn give_back_all(&mut self) {
        let leases = self.held.take(|_| true);
        let mut strays = !leases.is_empty();
        self.return_lost(leases);
        self.give_back().await;
        let until = Instant::now() + STRAYS;
        while strays {
            match tokio::time::timeout_at(until, self.polls.last()).await {
                Ok(Some(Ok(messages))) => {
                    self.keep_strays(&messages);
                    self.give_back().await;
                }
                Ok(Some(Err(_))) => {}
                Ok(None) | Err(_) => strays = false,
            }
        }
    }

    async fn give_back(&mut self) {
        self.return_lost(self.held.take(|_| true));
        let given = async { while self.returns.next().await.is_some() {} };
        // What could not be given back comes again when its time is over.
        let _ = tokio::time::timeout(self.deadline, given).await;
    }

    /// Keeps messages that nobody is to get from here, for giving them back with the others.
    fn keep_strays(&self, messages: &[Received]) {
        messages.iter().for_each(|message| _ = self.held.insert(self.lease(message, Instant::now())));
    }

    fn lease(&self, message: &Received, since: Instant) -> Lease {
        let group = system(message, &System::MessageGroupId).unwrap_or_default();
        let (handle, id) =
            (message.receipt_handle().unwrap_or_default(), message.message_id().unwrap_or_default());
        Lease::new(handle.to_owned(), id.to_owned(), group.to_owned(), since, self.visibility)
    }

    /// A request for messages that is under way cannot be taken back: what it still brings is given back too.
    async fn reap(&mut self) {
        loop {
            let answer = tokio::select! {
                answer = self.polls.last() => answer,
                () = closed(&mut self.closing) => return,
            };
            let Some(answer) = answer else { return };
            if let Ok(messages) = answer {
                self.keep_strays(&messages);
                self.give_back().await;
            }
        }
    }
}

/// What became of a request for more time.
struct Extended {
    asked: Instant,
    numbers: Vec<u64>,
    changed: Vec<Changed>,
}

async fn extend(
    client: aws_sdk_sqs::Client,
    url: String,
    leases: Vec<(u64, String)>,
    visibility: Duration,
) -> Extended {
    let asked = Instant::now();
    let (numbers, handles) = leases.into_iter().unzip();
    let changed = change(&client, &url, handles, visibility).await;
    Extended { asked, numbers, changed }
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
        None => pending().await,
    }
}
