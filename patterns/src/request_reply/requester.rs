//! Asking.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anybroker_core::{
    Broker, Error, Fate, Group, Kind, Message, OnFailure, Outcome, PublisherExt as _, PublisherOptions,
    Receipt, Result, SharedPublisher, Subscription, Topic, Topology,
};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::envelope::Call;
use super::receiving::receive;
use super::waiting::Waiting;
use super::{Reply, RequesterOptions, requirements};

/// Publishes requests to one topic and waits for their replies. Share it in an [`Arc`]; one for each topic and process is
/// enough.
///
/// Close it: dropped or killed, it leaves its reply topic behind, for [`remove_abandoned`](super::remove_abandoned).
pub struct Requester {
    broker: Broker,
    publisher: SharedPublisher,
    reply_to: Topic,
    /// Whether the reply topic is ours to delete.
    temporary: bool,
    waiting: Arc<Waiting>,
    room: Semaphore,
    in_flight: usize,
    receiving: Mutex<Option<Receiving>>,
}

struct Receiving {
    closing: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

impl Requester {
    /// Opens a requester of `topic`: creates its reply topic, unless the options name one, and begins to receive.
    ///
    /// # Errors
    /// `Unmet` if the broker does not give what [requests need](super::requirements), with the table; `PermissionDenied`
    /// if it may not create a topic; otherwise as opening a publisher and a consumer.
    ///
    /// # Cancel safety
    /// A cancelled call may have created the reply topic.
    pub async fn open(broker: &Broker, topic: Topic, options: RequesterOptions) -> Result<Self> {
        // Keys mean nothing to each other here: whoever asked hears of a failure.
        let publisher = PublisherOptions::new(topic).require(requirements()).on_failure(OnFailure::Continue);
        let publisher = broker.publisher(publisher).await?;
        let temporary = options.reply_to.is_none();
        let (reply_to, group) = match options.reply_to {
            Some(existing) => existing,
            None => create(broker, publisher.topic(), options.group).await?,
        };
        let subscription = Subscription::new(reply_to.clone(), group).require(requirements());
        let consumer = match broker.consumer(subscription).await {
            Ok(consumer) => consumer,
            Err(error) => {
                if temporary {
                    delete(broker, &reply_to).await.unwrap_or_else(|error| {
                        tracing::warn!(%error, "a reply topic stays behind");
                    });
                }
                return Err(error);
            }
        };
        let waiting = Arc::new(Waiting::default());
        let (closing, closed) = oneshot::channel();
        // It ends when it is told to, or when this requester is dropped.
        let task = tokio::spawn(receive(consumer, waiting.clone(), closed));
        Ok(Requester {
            broker: broker.clone(),
            publisher,
            reply_to,
            temporary,
            waiting,
            room: Semaphore::new(options.in_flight.min(Semaphore::MAX_PERMITS)),
            in_flight: options.in_flight,
            receiving: Mutex::new(Some(Receiving { closing, task })),
        })
    }

    /// Publishes a request, confirmed, and waits for its reply. The message's id is what the reply is known by: asking
    /// again with the same id, on a broker that deduplicates, waits for the reply to the first.
    ///
    /// # Errors
    /// - `TimedOut`: no reply came in time; the text says whether the request was confirmed. It may have been handled all
    ///   the same: the fate is unknown.
    /// - `Throttled`: too many are in flight, and none was answered in time; nothing was published.
    /// - Whatever publishing fails with.
    /// - What the responder answered: an error of its kind whose [operation](Error::operation) is `respond`.
    /// - `Duplicate` for an id that waits already, `Closed` after [`close`](Self::close).
    ///
    /// # Cancel safety
    /// A cancelled call forgets the request: it may be handled all the same, and its reply is discarded.
    pub async fn request(&self, mut message: Message, timeout: Duration) -> Result<Reply> {
        let timeout = timeout.min(LONGEST);
        let deadline = Instant::now() + timeout;
        let Ok(room) = timeout_at(deadline, self.room.acquire()).await else {
            let text = format!(
                "{} requests wait for their replies, and none ended within {timeout:?}",
                self.in_flight
            );
            return Err(self.failed(Kind::Throttled, text));
        };
        let _room = room.map_err(|_| self.failed(Kind::Closed, "the requester is closed".to_owned()))?;
        let mut request = self.waiting.enter(message.id.clone())?;
        let left = deadline.saturating_duration_since(Instant::now());
        Call::write(&mut message, &self.reply_to, SystemTime::now() + left);
        let confirmed = tokio::select! {
            biased;
            // It may be faster than the confirmation.
            reply = request.reply() => return Reply::of(reply?, self.publisher.topic()),
            outcome = timeout_at(deadline, self.publisher.publish(message)) => outcome,
        };
        let receipt = match confirmed {
            Ok(outcome) => Outcome::map_err(outcome, Error::from)?,
            Err(_) => {
                let text = format!("neither a confirmation nor a reply came within {timeout:?}");
                return Err(self.failed(Kind::TimedOut, text));
            }
        };
        match timeout_at(deadline, request.reply()).await {
            Ok(reply) => Reply::of(reply?, self.publisher.topic()),
            Err(_) => Err(self.unanswered(receipt, timeout)),
        }
    }

    fn unanswered(&self, receipt: Receipt, timeout: Duration) -> Error {
        let place = receipt.position.map(|at| format!(" (partition {}, offset {})", at.partition, at.offset));
        let stored =
            if receipt.duplicate { "was known to the broker by its id already" } else { "was confirmed" };
        let text =
            format!("the request {stored}{}; no reply came within {timeout:?}", place.unwrap_or_default());
        self.failed(Kind::TimedOut, text)
    }

    fn failed(&self, kind: Kind, text: String) -> Error {
        let error = Error::new(kind, "request", text).on(format!("topic `{}`", self.publisher.topic()));
        match kind {
            Kind::TimedOut => error.with_fate(Fate::Unknown).advice(
                "see whether a responder runs, and how far it is behind; it may still handle the request",
            ),
            _ => error,
        }
    }

    /// The topic that replies come to.
    pub fn reply_topic(&self) -> &Topic {
        &self.reply_to
    }

    /// How many requests wait for a reply.
    pub fn in_flight(&self) -> usize {
        self.waiting.count()
    }

    /// How many replies nobody waited for: they came too late, twice, or belong to nobody.
    pub fn discarded(&self) -> u64 {
        self.waiting.discarded()
    }

    /// Fails what waits with `Closed`, closes consumer and publisher, and deletes the reply topic if it was created here.
    /// Closing twice is harmless.
    ///
    /// # Errors
    /// The first of what closing and deleting fail with; it is closed all the same.
    ///
    /// # Cancel safety
    /// Not cancel safe: a cancelled close may leave the reply topic behind.
    pub async fn close(&self) -> Result<()> {
        let receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Receiving { closing, task }) = receiving else { return Ok(()) };
        self.room.close();
        // If it has ended by itself, there is nobody to tell.
        let _ = closing.send(());
        let received = task.await.unwrap_or_else(|error| {
            Err(Error::new(Kind::Unexpected, "close", "the task that received replies failed")
                .with_source(error))
        });
        let published = self.publisher.close().await;
        let deleted = if self.temporary { delete(&self.broker, &self.reply_to).await } else { Ok(()) };
        received.and(published).and(deleted)
    }
}

/// A time-out that a clock can add.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What stands in the names of reply topics between the request topic's and a number, which begins with the time.
pub(super) const REPLIES: &str = "-replies-";

/// What the names of a topic's reply topics begin with.
pub(super) fn start(requests: &Topic) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    requests.as_str().chars().take(18).map(plain).collect()
}

/// A new reply topic with its group. Short enough for every broker; the group's name is its own too, as Kafka's groups are
/// the whole cluster's.
async fn create(broker: &Broker, requests: &Topic, group: Option<Group>) -> Result<(Topic, Group)> {
    let id = Uuid::now_v7().simple().to_string();
    let (time, random) = (&id[..12], &id[20..]);
    let topic = Topic::new(format!("{}{REPLIES}{time}{random}", start(requests)))?;
    let group = group.map_or_else(|| Group::new(format!("replies-{random}")), Ok)?;
    let declared = broker.admin().declare(&Topology::new(topic.clone()).group(group.clone())).await;
    declared.map_err(|error| match error.kind() {
        Kind::PermissionDenied => {
            error.advice("let it create topics, or name an existing one: RequesterOptions::reply_to")
        }
        _ => error,
    })?;
    Ok((topic, group))
}

pub(super) async fn delete(broker: &Broker, topic: &Topic) -> Result<()> {
    match broker.admin().delete(topic).await {
        Err(error) if error.kind() == Kind::NotFound => Ok(()),
        ended => ended,
    }
}

impl Drop for Requester {
    fn drop(&mut self) {
        let open = self.receiving.get_mut().unwrap_or_else(PoisonError::into_inner).is_some();
        if open && self.temporary {
            tracing::warn!(topic = %self.reply_to, "a requester was dropped without close: its reply topic stays behind");
        }
    }
}

impl fmt::Debug for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requester")
            .field("topic", self.publisher.topic())
            .field("reply_to", &self.reply_to)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
