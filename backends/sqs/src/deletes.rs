//! Acknowledgements: deletions of up to ten messages, side by side, each confirmed by SQS.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use anybroker_core::kit::Session;
use anybroker_core::{Error, Fate, Kind, Result, Settled};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::BoxError;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry as Entry;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use crate::config::BATCH;
use crate::error::{of_code, typed};
use crate::held::{Held, Lease};
use crate::member::PARTITION;

/// The most requests under way.
const REQUESTS: usize = 16;
/// A request that is not full waits while this many are under way: it fills meanwhile.
const UNDER_WAY: usize = 2;

/// A message to delete, and who waits for it.
pub(crate) type Delete = (u64, oneshot::Sender<Result<Settled>>);

/// Deletes from one queue what one consumer has acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Deleter {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) held: Arc<Held>,
    /// It keeps this task by its link, not the other way round.
    pub(crate) session: Weak<Session>,
    /// Messages whose group is lost, for the task that gives back what can be given back.
    pub(crate) lost: mpsc::UnboundedSender<Vec<(u64, Lease)>>,
}

/// Asks for deletions and waits for their outcomes.
pub(crate) async fn delete(
    deletes: &mpsc::UnboundedSender<Delete>,
    numbers: impl Iterator<Item = u64>,
) -> Vec<Result<Settled>> {
    let ended = || Error::new(Kind::Closed, "settle", "the consumer has ended");
    let asked: Vec<_> = numbers
        .map(|number| {
            let (answer, answered) = oneshot::channel();
            // If the task has ended, so does the wait below.
            let _ = deletes.send((number, answer));
            answered
        })
        .collect();
    let mut answers = Vec::with_capacity(asked.len());
    for answered in asked {
        answers.push(answered.await.unwrap_or_else(|_| Err(ended())));
    }
    answers
}

impl Deleter {
    /// Deletes until nobody can ask any more. Not bounded itself: the session's prefetch bounds what is asked.
    pub(crate) async fn run(self, mut asked: mpsc::UnboundedReceiver<Delete>) {
        let mut waiting: Vec<Delete> = Vec::new();
        let mut requests = FuturesUnordered::new();
        let mut open = true;
        while open || !waiting.is_empty() || !requests.is_empty() {
            while requests.len() < REQUESTS
                && (waiting.len() >= BATCH || (!waiting.is_empty() && requests.len() < UNDER_WAY))
            {
                let batch = waiting.drain(..waiting.len().min(BATCH)).collect();
                requests.push(self.delete(batch));
            }
            tokio::select! {
                delete = asked.recv(), if open => match delete {
                    Some(delete) => {
                        waiting.push(delete);
                        while let Ok(delete) = asked.try_recv() {
                            waiting.push(delete);
                        }
                    }
                    None => open = false,
                },
                Some(()) = requests.next() => {}
            }
        }
    }

    async fn delete(&self, batch: Vec<Delete>) {
        let mut entries = Vec::with_capacity(batch.len());
        let mut asked = Vec::with_capacity(batch.len());
        for (number, answer) in batch {
            match self.held.begin_delete(number).and_then(|handle| entry(entries.len(), handle)) {
                Ok(entry) => {
                    entries.push(entry);
                    asked.push((number, answer));
                }
                Err(error) => {
                    self.forget(number, self.held.group(number));
                    // Nobody waits for an answer any more if the call was cancelled.
                    let _ = answer.send(Err(error));
                }
            }
        }
        if entries.is_empty() {
            return;
        }
        let attempts = Attempts::default();
        let results = self.request(entries, attempts.clone()).await;
        let outcomes = asked.into_iter().zip(results).map(|((number, answer), result)| {
            let group = self.held.group(number);
            (number, group, answer, self.outcome(number, result, attempts.count() > 1))
        });
        // All are over before any is given back: a group goes back in one request, its first message last.
        for (number, group, answer, outcome) in outcomes.collect::<Vec<_>>() {
            if outcome.as_ref().is_err_and(doubtful) {
                self.forget(number, group);
            }
            let _ = answer.send(outcome);
        }
    }

    /// What an answer means. A handle that SQS does not know any more, while the message is ours by our own clock, is
    /// that of a message that an earlier attempt has deleted, if there was one whose answer got lost.
    fn outcome(&self, number: u64, result: Result<()>, again: bool) -> Result<Settled> {
        let error = match result {
            Ok(()) => return self.held.end_delete(number).map(|()| Settled::Confirmed),
            Err(error) => error,
        };
        if error.kind() == Kind::LeaseExpired && again {
            return self.held.end_delete(number).map(|()| Settled::Confirmed);
        }
        self.held.abort_delete(number);
        Err(error)
    }

    /// A message is not ours any more, or perhaps deleted, and then somebody else may have the next of its group already.
    /// So we deliver neither it nor what comes after it again: what is left of the group goes back to SQS.
    fn forget(&self, number: u64, group: Option<String>) {
        let leases = self.held.take(|lease| Some(&lease.group) == group.as_ref());
        if let Some(session) = self.session.upgrade() {
            session.lose(PARTITION, leases.iter().map(|(number, _)| *number).chain([number]));
        }
        // If the task has ended, it has given everything back.
        let _ = self.lost.send(leases);
    }

    /// One outcome for each entry, in order.
    async fn request(&self, entries: Vec<Entry>, attempts: Attempts) -> Vec<Result<()>> {
        let count = entries.len();
        let request = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let deleted = request.customize().interceptor(attempts).send().await;
        let answer = match deleted {
            Ok(answer) => answer,
            Err(error) => {
                let error = typed("settle", error);
                return (0..count).map(|_| Err(error.duplicate())).collect();
            }
        };
        let mut results: Vec<_> = (0..count).map(|_| Err(unanswered())).collect();
        for entry in answer.successful() {
            if let Some(result) = entry.id().parse().ok().and_then(|at: usize| results.get_mut(at)) {
                *result = Ok(());
            }
        }
        for entry in answer.failed() {
            if let Some(result) = entry.id().parse().ok().and_then(|at: usize| results.get_mut(at)) {
                *result = Err(refused(entry.code(), entry.message().unwrap_or("without a reason")));
            }
        }
        results
    }
}

/// Counts how often a request was sent.
#[derive(Clone, Debug, Default)]
struct Attempts(Arc<AtomicU32>);

impl Attempts {
    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "Attempts"
    }

    fn read_before_attempt(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn entry(at: usize, handle: String) -> Result<Entry> {
    Entry::builder()
        .id(at.to_string())
        .receipt_handle(handle)
        .build()
        .map_err(|e| Error::new(Kind::Unexpected, "settle", "an entry cannot be built").with_source(e))
}

/// Amazon answers a handle whose time is over with an invalid parameter.
fn refused(code: &str, text: &str) -> Error {
    if code.contains("InvalidParameterValue") && text.contains("expired") {
        return of_code("settle", "ReceiptHandleIsInvalid", text);
    }
    of_code("settle", code, text)
}

/// Whether the message may be somebody else's, or gone.
fn doubtful(error: &Error) -> bool {
    error.kind() == Kind::LeaseExpired || error.fate() == Fate::Unknown
}

fn unanswered() -> Error {
    Error::new(Kind::Unexpected, "settle", "SQS did not say what became of it")
}
