//! The task behind a publisher: one connection after another, each until it breaks.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anybroker_core::kit::Pending;
use anybroker_core::{Error, Fate, Kind, Position, Receipt, Result};
use async_nats::client::{Request, RequestErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{Client, Subject};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::error::{no_responders, refused, requesting};
use crate::link::Link;
use crate::member::Verify;
use crate::names::{Names, partition};
use crate::publisher::refuse;
use crate::record::{EXPECTED_STREAM, headers};

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
                    let lane =
                        Lane { sender: &self, subjects: &subjects, client, epoch, denied: OnceLock::new() };
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
    /// Why the server takes nothing from us.
    denied: OnceLock<Error>,
}

/// A message that has no answer yet.
struct Flight<'a> {
    pending: Option<Pending>,
    denied: &'a OnceLock<Error>,
}

impl Flight<'_> {
    fn land(mut self, outcome: Result<Receipt>) {
        match (self.pending.take(), outcome) {
            (Some(pending), Ok(receipt)) => pending.confirm(receipt),
            (Some(pending), Err(error)) => pending.fail(error),
            (None, _) => {}
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        // Without a word it ends as unknown.
        if let (Some(error), Some(pending)) = (self.denied.get(), self.pending.take()) {
            pending.fail(error.duplicate());
        }
    }
}

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
        let forbidden = link.forbidden("publish", self.sender.names.topic.as_str());
        let (mut forbidden, lost) = (std::pin::pin!(forbidden), link.lost(self.epoch));
        let mut lost = std::pin::pin!(lost);
        let mut steps = FuturesUnordered::new();
        let mut progress = Instant::now();
        let mut open = true;
        loop {
            steps.extend(waiting.drain(..).map(|pending| self.step(pending)));
            if !open && steps.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                Some(()) = steps.next(), if !steps.is_empty() => progress = Instant::now(),
                batch = batches.recv(), if open => match batch {
                    Some(batch) => waiting.extend(batch),
                    None => open = false,
                },
                () = &mut lost => return,
                error = &mut forbidden => {
                    let _ = self.denied.set(error);
                    return;
                }
                () = abandon.notified() => return,
                () = tokio::time::sleep_until(progress + patience), if !steps.is_empty() => return,
            }
        }
    }

    /// Publishes one message and waits for the answer. Sending happens when it is first polled, and that in the order in
    /// which the steps were made.
    async fn step(&self, pending: Pending) {
        if let Some(error) = pending.refusal() {
            return pending.fail(error);
        }
        let Some(message) = pending.message() else { return };
        let partition = partition(message, self.sender.partitions);
        let mut headers = headers(message);
        // So that no other stream takes it.
        headers.insert(EXPECTED_STREAM, self.sender.names.stream.as_str());
        let request = Request::new().payload(message.payload.clone()).headers(headers).timeout(None);
        let Some(subject) = self.subjects.get(partition as usize).cloned() else { return };
        let flight = Flight { pending: Some(pending), denied: &self.denied };
        let answer = self.client.send_request(subject, request).await;
        flight.land(match answer {
            Ok(answer) => receipt(partition, &answer.payload),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => no_responders("publish"),
                RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::InvalidSubject => {
                    requesting("publish", error).with_fate(Fate::NotApplied)
                }
                _ => requesting("publish", error).with_fate(Fate::Unknown),
            }),
        });
    }
}

/// What the stream said of a message.
fn receipt(partition: u32, answer: &[u8]) -> Result<Receipt> {
    match serde_json::from_slice(answer) {
        Ok(Response::Ok(PublishAck { sequence, duplicate, .. })) => {
            Ok(Receipt { position: Some(Position { partition, offset: sequence }), duplicate })
        }
        Ok(Response::Err { error }) => Err(refused("publish", &error)),
        Err(error) => {
            let text = "the stream's answer does not read";
            Err(Error::new(Kind::Unexpected, "publish", text).with_source(error).with_fate(Fate::Unknown))
        }
    }
}
