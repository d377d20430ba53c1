//! The task behind a publisher: one connection after another, each until it breaks.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::Pending;
use anybroker_core::{Error, Fate, Kind, Position, Receipt, Result};
use async_nats::client::PublishErrorKind;
use async_nats::{Client, StatusCode, Subject, jetstream};
use bytes::BytesMut;
use futures::StreamExt;
use serde::Deserialize;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::error::{no_responders, refused, too_large};
use crate::link::Link;
use crate::member::Verify;
use crate::names::{Names, partition};
use crate::permission::Action;
use crate::publisher::refuse;
use crate::record::{EXPECTED_STREAM, headers, name};

/// Messages in call order.
pub(crate) type Batch = Vec<Pending>;

/// What the task needs.
pub(crate) struct Sender {
    pub(crate) link: Arc<Link>,
    pub(crate) names: Names,
    pub(crate) partitions: u32,
    /// How long a message waits for the connection, and for its confirmation.
    pub(crate) patience: Duration,
    /// Asked after every reconnect.
    pub(crate) verify: Verify,
}

impl Sender {
    /// Publishes what comes, until nobody can send any more.
    pub(crate) async fn run(self, mut batches: mpsc::UnboundedReceiver<Batch>, abandon: Arc<Notify>) {
        let subjects: Vec<Subject> =
            (0..self.partitions).map(|partition| self.names.subject(partition).into()).collect();
        let mut waiting: VecDeque<Pending> = VecDeque::new();
        let mut verified = None;
        loop {
            if waiting.is_empty() {
                let Some(batch) = batches.recv().await else { return };
                waiting.extend(batch);
            }
            match self.connection(&mut verified).await {
                Ok((epoch, client)) => {
                    let inbox = client.new_inbox();
                    let lane = Lane { sender: &self, subjects: &subjects, client, epoch, inbox };
                    lane.publish(&mut waiting, &mut batches, &abandon).await;
                }
                Err(error) => {
                    refuse(waiting.drain(..), &error);
                    while let Ok(batch) = batches.try_recv() {
                        refuse(batch, &error);
                    }
                }
            }
        }
    }

    async fn connection(&self, verified: &mut Option<u64>) -> Result<(u64, Client)> {
        let started = Instant::now();
        loop {
            let epoch = self.link.up("publish", self.patience.saturating_sub(started.elapsed())).await?;
            // The first connection has been verified when the publisher was opened.
            let checked = match verified.replace(epoch) {
                Some(before) if before != epoch => (self.verify)().await,
                _ => Ok(()),
            };
            match checked {
                Ok(()) => return Ok((epoch, self.link.client("publish")?)),
                // The connection broke under us, or the server is still starting.
                Err(error) if !is_final(&error) && started.elapsed() < self.patience => {
                    *verified = Some(u64::MAX);
                    let _ = tokio::time::timeout(RETRY, self.link.lost(epoch)).await;
                }
                Err(error) => {
                    *verified = Some(u64::MAX);
                    return Err(error);
                }
            }
        }
    }
}

/// How long to wait before asking a server again that is there, but has not what we need.
const RETRY: Duration = Duration::from_millis(200);

fn is_final(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unmet | Kind::InvalidConfiguration | Kind::Unsupported | Kind::Closed)
}

/// One connection's turn.
struct Lane<'a> {
    sender: &'a Sender,
    subjects: &'a [Subject],
    client: Client,
    epoch: u64,
    /// What answers come to begins so; a message's number follows.
    inbox: String,
}

/// A message on its way.
struct Flight {
    pending: Pending,
    partition: u32,
}

/// The messages on their way, in the order in which they were sent.
#[derive(Default)]
struct Flights {
    /// Those that were answered leave a gap until everything before them is answered.
    all: VecDeque<Option<Flight>>,
    first: u64,
}

impl Flights {
    fn push(&mut self, flight: Flight) {
        self.all.push_back(Some(flight));
    }

    fn take(&mut self, number: u64) -> Option<Flight> {
        let flight = self.all.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)?.take();
        while let Some(None) = self.all.front() {
            self.all.pop_front();
            self.first += 1;
        }
        flight
    }

    fn next_number(&self) -> u64 {
        self.first + self.all.len() as u64
    }
}

/// The most messages on their way: fewer than what the client holds of answers for us.
const MOST_FLYING: usize = 16_384;
/// How many messages are sent before answers are looked at.
const PORTION: usize = 128;
/// Longer than an inbox and a number.
const INBOX: usize = 64;

impl Lane<'_> {
    /// Publishes until the connection breaks or nobody can send any more. What has no answer then ends as unknown: late
    /// answers find nobody.
    async fn publish(
        &self,
        waiting: &mut VecDeque<Pending>,
        batches: &mut mpsc::UnboundedReceiver<Batch>,
        abandon: &Notify,
    ) {
        let (link, patience) = (&self.sender.link, self.sender.patience);
        let concerns = |named: &str| self.sender.names.is_subject(named);
        let mut forbidden = std::pin::pin!(link.forbidden("publish", Action::Publish, concerns));
        let mut lost = std::pin::pin!(link.lost(self.epoch));
        let mut answers = match self.client.subscribe(format!("{}.*", self.inbox)).await {
            Ok(answers) => answers.ready_chunks(PORTION),
            // The connection is gone for good; the next turn says so.
            Err(_) => return,
        };
        let (mut flights, mut inboxes) = (Flights::default(), BytesMut::new());
        let mut progress = Instant::now();
        let mut open = true;
        while open || !waiting.is_empty() || !flights.all.is_empty() {
            let (flying, full) = (!flights.all.is_empty(), flights.all.len() >= MOST_FLYING);
            tokio::select! {
                biased;
                () = &mut lost => return,
                error = &mut forbidden => {
                    let flying = flights.all.drain(..).flatten().map(|flight| flight.pending);
                    return refuse(flying.chain(waiting.drain(..)), &error);
                }
                Some(answered) = answers.next(), if flying => {
                    progress = Instant::now();
                    answered.iter().for_each(|answer| self.land(&mut flights, answer));
                }
                () = self.send(waiting, &mut flights, &mut inboxes), if !waiting.is_empty() && !full => {
                    progress = Instant::now();
                }
                batch = batches.recv(), if open && waiting.is_empty() => match batch {
                    Some(batch) => waiting.extend(batch),
                    None => open = false,
                },
                () = abandon.notified() => return,
                () = tokio::time::sleep_until(progress + patience), if flying => {
                    let flying = flights.all.drain(..).flatten().map(|flight| flight.pending);
                    return unanswered(flying, patience);
                }
            }
        }
    }

    /// Sends some messages, one after the other, so that they stay in order.
    ///
    /// # Cancel safety
    /// Cancel safe: a message waits until the client has taken it.
    async fn send(&self, waiting: &mut VecDeque<Pending>, flights: &mut Flights, inboxes: &mut BytesMut) {
        for _ in 0..PORTION {
            let Some(pending) = waiting.front() else { return };
            let Some(message) = pending.message() else { return };
            if let Some(error) = pending.refusal() {
                waiting.drain(..1).for_each(|pending| pending.fail(error.duplicate()));
                continue;
            }
            let partition = partition(message, self.sender.partitions);
            let mut headers = headers(message);
            // So that no other stream takes it.
            headers.insert(name(EXPECTED_STREAM), self.sender.names.stream.as_str());
            let Some(subject) = self.subjects.get(partition as usize).cloned() else { return };
            let Some(inbox) = self.inbox(inboxes, flights.next_number()) else { return };
            let payload = message.payload.clone();
            let sent = self.client.publish_with_reply_and_headers(subject, inbox, headers, payload).await;
            let Some(pending) = waiting.pop_front() else { return };
            match sent {
                Ok(()) => flights.push(Flight { pending, partition }),
                Err(error) => pending.fail(unsent(error)),
            }
        }
    }

    /// Where the answer to a message comes to: a piece of a buffer that many share.
    fn inbox(&self, buffer: &mut BytesMut, number: u64) -> Option<Subject> {
        if buffer.capacity() < INBOX {
            buffer.reserve(PORTION * INBOX);
        }
        write!(buffer, "{}.{number}", self.inbox).ok()?;
        buffer.split().freeze().try_into().ok()
    }

    fn land(&self, flights: &mut Flights, answer: &async_nats::Message) {
        let number = answer.subject.rsplit('.').next().and_then(|number| number.parse().ok());
        let Some(Flight { pending, partition }) = number.and_then(|number| flights.take(number)) else {
            return;
        };
        let outcome = match answer.status {
            Some(StatusCode::NO_RESPONDERS) => Err(no_responders("publish")),
            _ => receipt(partition, &answer.payload),
        };
        match outcome {
            Ok(receipt) => pending.confirm(receipt),
            Err(error) => pending.fail(error),
        }
    }
}

/// Fails what was sent, and the server says nothing of while the connection stands.
pub(crate) fn unanswered(sent: impl IntoIterator<Item = Pending>, patience: Duration) {
    let text = format!("the server did not answer within {patience:?}");
    let error = Error::new(Kind::TimedOut, "publish", text).with_fate(Fate::Unknown);
    sent.into_iter().for_each(|pending| pending.fail(error.duplicate()));
}

/// What async-nats refuses before it sends anything.
pub(crate) fn unsent(error: async_nats::PublishError) -> Error {
    let error = match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => too_large("publish").with_source(error),
        _ => Error::new(Kind::Disconnected, "publish", "the message was not sent").with_source(error),
    };
    error.with_fate(Fate::NotApplied)
}

/// What the stream says of a message: <https://docs.nats.io/reference/reference-protocols/nats_api_reference>.
/// Its own name, which it says as well, is passed over.
#[derive(Deserialize)]
struct Answer {
    error: Option<jetstream::Error>,
    seq: Option<u64>,
    #[serde(default)]
    duplicate: bool,
}

fn receipt(partition: u32, answer: &[u8]) -> Result<Receipt> {
    let unread = || {
        let text = "the stream's answer does not read";
        Error::new(Kind::Unexpected, "publish", text).with_fate(Fate::Unknown)
    };
    match serde_json::from_slice(answer) {
        Ok(Answer { error: Some(error), .. }) => Err(refused("publish", &error)),
        Ok(Answer { seq: Some(offset), duplicate, .. }) => {
            Ok(Receipt { position: Some(Position { partition, offset }), duplicate })
        }
        Ok(_) => Err(unread()),
        Err(error) => Err(unread().with_source(error)),
    }
}
