//! The task behind a publisher: requests of up to ten messages, side by side.

use std::sync::Arc;

use anybroker_core::kit::Pending;
use anybroker_core::{Error, Fate, Kind, Receipt, Result};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry as Entry;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, mpsc};

use crate::config::BATCH;
use crate::error::{of_code, typed};
use crate::lanes::{Lanes, Parcel};
use crate::record::entry;
use crate::topology::Queue;

/// A request that is not full waits while this many are under way: it fills meanwhile.
const UNDER_WAY: usize = 2;
/// The most bytes of all messages of a request together:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>.
pub(crate) const REQUEST_BYTES: usize = 1_048_576;

/// Sends to a topic's queues: one, or with fan-out one for each group.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) client: Client,
    pub(crate) queues: Arc<[Queue]>,
    /// The largest message that every queue takes.
    pub(crate) message_bytes: usize,
    /// The most requests under way.
    pub(crate) requests: usize,
    /// The most messages of one group in a request.
    pub(crate) run: usize,
}

/// Publishes what comes, until nobody can send any more.
pub(crate) async fn run(
    sender: Sender,
    mut batches: mpsc::UnboundedReceiver<Vec<Pending>>,
    abandon: Arc<Notify>,
) {
    let mut lanes = Lanes::new(sender.run);
    let mut requests = FuturesUnordered::new();
    let mut open = true;
    while open || lanes.ready() > 0 || !requests.is_empty() {
        while requests.len() < sender.requests
            && (lanes.ready() >= BATCH || (lanes.ready() > 0 && requests.len() < UNDER_WAY))
        {
            match sender.request(&mut lanes) {
                Some(request) => requests.push(sender.send(request)),
                None => continue,
            }
        }
        tokio::select! {
            batch = batches.recv(), if open => match batch {
                Some(batch) => {
                    batch.into_iter().for_each(|pending| lanes.add(pending));
                    while let Ok(batch) = batches.try_recv() {
                        batch.into_iter().for_each(|pending| lanes.add(pending));
                    }
                }
                None => open = false,
            },
            Some(groups) = requests.next() => groups.into_iter().for_each(|group| lanes.done(group)),
            () = abandon.notified() => {
                // What is under way ends as unknown, the rest has not been sent.
                requests.clear();
                lanes.drain().for_each(|pending| pending.fail(given_up()));
                lanes = Lanes::new(sender.run);
            }
        }
    }
}

fn given_up() -> Error {
    Error::new(Kind::TimedOut, "publish", "it was not sent before the flush gave up")
        .with_fate(Fate::NotApplied)
}

/// A request's messages, with what SQS is told of each.
struct Request {
    parcels: Vec<Parcel>,
    entries: Vec<Entry>,
}

impl Sender {
    /// Fills a request. Messages that must not or cannot be sent fail here, and their groups go on.
    fn request(&self, lanes: &mut Lanes) -> Option<Request> {
        let mut request = Request { parcels: Vec::with_capacity(BATCH), entries: Vec::with_capacity(BATCH) };
        let mut failed = Vec::new();
        let mut left = REQUEST_BYTES;
        lanes.take(|parcel| {
            let entry = match self.entry(&parcel, request.parcels.len()) {
                Ok((_, bytes)) if bytes > left => return Some(parcel),
                Ok((entry, bytes)) => {
                    left -= bytes;
                    entry
                }
                Err(error) => {
                    failed.push(parcel.group);
                    parcel.pending.fail(error.with_fate(Fate::NotApplied));
                    return None;
                }
            };
            request.entries.push(entry);
            request.parcels.push(parcel);
            None
        });
        // A group that is in the request too goes on when the request is answered.
        failed.sort_unstable();
        failed.dedup();
        failed.retain(|group| !request.parcels.iter().any(|parcel| parcel.group == *group));
        failed.into_iter().for_each(|group| lanes.done(group));
        (!request.parcels.is_empty()).then_some(request)
    }

    fn entry(&self, parcel: &Parcel, index: usize) -> Result<(Entry, usize)> {
        if let Some(refusal) = parcel.pending.refusal() {
            return Err(refusal);
        }
        let gone = || Error::new(Kind::Unexpected, "publish", "the message is gone");
        let message = parcel.pending.message().ok_or_else(gone)?;
        let (entry, bytes) = entry(message, &parcel.group, index)?;
        if bytes > self.message_bytes {
            let text = format!(
                "{bytes} bytes with all attributes, as SQS counts them; it takes {} at most",
                self.message_bytes
            );
            let advice = "raise the queue's MaximumMessageSize, or keep large payloads elsewhere and send a reference; \
                          a payload that is no text grows by a third";
            return Err(Error::new(Kind::TooLarge, "publish", text).advice(advice));
        }
        Ok((entry, bytes))
    }

    /// Sends a request to every queue; says which groups are done.
    async fn send(&self, request: Request) -> Vec<String> {
        let Request { parcels, entries } = request;
        let answers = join_all(self.queues.iter().map(|queue| self.send_to(queue, entries.clone()))).await;
        let mut groups = Vec::with_capacity(parcels.len());
        let mut answers: Vec<_> = answers.into_iter().map(Vec::into_iter).collect();
        for Parcel { pending, group } in parcels {
            let outcomes = answers.iter_mut().map(|queue| queue.next().unwrap_or_else(|| Err(unanswered())));
            match self.combined(outcomes.collect()) {
                Ok(()) => pending.confirm(Receipt::default()),
                Err(error) => pending.fail(error),
            }
            groups.push(group);
        }
        groups.dedup();
        groups
    }

    /// One outcome for each entry, in order.
    async fn send_to(&self, queue: &Queue, entries: Vec<Entry>) -> Vec<Result<()>> {
        let count = entries.len();
        let sent =
            self.client.send_message_batch().queue_url(&queue.url).set_entries(Some(entries)).send().await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => {
                let error = typed("publish", error);
                return (0..count).map(|_| Err(error.duplicate())).collect();
            }
        };
        let mut outcomes: Vec<_> = (0..count).map(|_| Err(unanswered())).collect();
        for entry in answer.successful() {
            if let Some(outcome) = entry.id().parse().ok().and_then(|at: usize| outcomes.get_mut(at)) {
                *outcome = Ok(());
            }
        }
        for entry in answer.failed() {
            if let Some(outcome) = entry.id().parse().ok().and_then(|at: usize| outcomes.get_mut(at)) {
                *outcome =
                    Err(of_code("publish", entry.code(), entry.message().unwrap_or("without a reason")));
            }
        }
        outcomes
    }

    /// What became of a message that was sent to every queue.
    fn combined(&self, outcomes: Vec<Result<()>>) -> Result<()> {
        let all = outcomes.len();
        let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let failed =
            outcomes.into_iter().zip(self.queues.iter()).filter_map(|(o, queue)| Some((o.err()?, queue)));
        let mut failed: Vec<_> = failed.collect();
        let unknown = failed.iter().any(|(error, _)| error.fate() == Fate::Unknown);
        let Some((error, queue)) = failed.pop() else { return Ok(()) };
        let Some(group) = &queue.group else { return Err(error) };
        if stored == 0 && !unknown {
            return Err(error);
        }
        let text = format!("{stored} of {all} groups have it, and group `{group}` may not: {error}");
        Err(Error::new(error.kind(), "publish", text)
            .with_fate(Fate::Unknown)
            .with_retryable(error.is_retryable())
            .advice(
                "publish it again with the same id: within 5 minutes SQS stores it only where it is missing",
            ))
    }
}

fn unanswered() -> Error {
    Error::new(Kind::Unexpected, "publish", "SQS did not say what became of it").with_fate(Fate::Unknown)
}
