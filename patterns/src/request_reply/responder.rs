//! Answering.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use anybroker_core::{Broker, Delivery, Error, Kind, Message, Record, Result};
use futures::future::BoxFuture;
use tower::Service;

use super::envelope::Call;
use super::publishers::{Publishers, is_hopeless};

type BoxError = Box<dyn StdError + Send + Sync>;
type Handler = dyn Fn(Record) -> BoxFuture<'static, Result<Message, BoxError>> + Send + Sync;

/// What becomes of a request whose handler fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failing {
    /// The requester gets the error, with its kind (`Unexpected`, if it is no error of anybroker's) and its text; the request
    /// is done. The default.
    #[default]
    Reply,
    /// The worker decides, as for any handler: the request is tried again, and is a dead letter in the end. The requester
    /// hears of it only by its time-out.
    Retry,
}

/// A handler for a worker: it answers requests with what an async function makes of them. Clones share everything.
///
/// A request that nobody waits for any more is skipped. One that cannot be answered, as it names no reply topic, fails with
/// `Decode`, which makes a dead letter of it. See the [module](super) for an example.
pub struct Responder {
    shared: Arc<Shared>,
    failing: Failing,
}

struct Shared {
    handler: Box<Handler>,
    publishers: Publishers,
    answered: AtomicU64,
    failed: AtomicU64,
    expired: AtomicU64,
    gone: AtomicU64,
}

/// What a responder has done with the requests that it got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Replies that were published, confirmed.
    pub answered: u64,
    /// Of these, the ones that are errors.
    pub failed: u64,
    /// Requests that nobody waited for any more: their handler was not called.
    pub expired: u64,
    /// Replies whose topic was gone, and the requester with it.
    pub gone: u64,
}

impl Responder {
    /// Answers with what `handler` returns, through `broker`. An error is answered too: see [`Failing`].
    pub fn new<F, Fut, E>(broker: Broker, handler: F) -> Self
    where
        F: Fn(Record) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Message, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let handler = Box::new(move |request| -> BoxFuture<'static, Result<Message, BoxError>> {
            let answer = handler(request);
            Box::pin(async move { answer.await.map_err(Into::into) })
        });
        Responder {
            shared: Arc::new(Shared {
                handler,
                publishers: Publishers::new(broker),
                answered: AtomicU64::default(),
                failed: AtomicU64::default(),
                expired: AtomicU64::default(),
                gone: AtomicU64::default(),
            }),
            failing: Failing::default(),
        }
    }

    /// What becomes of a request whose handler fails.
    pub fn failing(mut self, failing: Failing) -> Self {
        self.failing = failing;
        self
    }

    /// What it has done so far.
    pub fn answered(&self) -> Answered {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { answered, failed, expired, gone, .. } = &*self.shared;
        Answered {
            answered: count(answered),
            failed: count(failed),
            expired: count(expired),
            gone: count(gone),
        }
    }

    /// Closes the publishers of the reply topics; after the worker has ended.
    ///
    /// # Errors
    /// As [`Publisher::close`](anybroker_core::Publisher::close).
    ///
    /// # Cancel safety
    /// Not cancel safe.
    pub async fn close(&self) -> Result<()> {
        self.shared.publishers.close().await
    }
}

impl Shared {
    async fn respond(&self, request: Record, failing: Failing) -> Result<(), BoxError> {
        let call = Call::read(&request)?;
        if call.is_expired() {
            add(&self.expired);
            tracing::debug!(id = %call.id, "nobody waits for the reply any more: the request is skipped");
            return Ok(());
        }
        match ((self.handler)(request).await, failing) {
            (Ok(reply), _) => match self.send(&call, call.answer(reply)).await {
                // There is a reply, and it cannot be published: that is what the requester is to hear.
                Err(error) if failing == Failing::Reply && is_hopeless(&error) => {
                    self.refuse(&call, &error).await
                }
                sent => sent.map(drop).map_err(Into::into),
            },
            (Err(error), Failing::Reply) => self.refuse(&call, &*error).await,
            (Err(error), Failing::Retry) => Err(error),
        }
    }

    async fn refuse(
        &self,
        call: &Call,
        error: &(dyn StdError + Send + Sync + 'static),
    ) -> Result<(), BoxError> {
        let kind = error.downcast_ref::<Error>().map_or(Kind::Unexpected, Error::kind);
        tracing::debug!(id = %call.id, %error, "the request is answered with an error");
        if self.send(call, call.refuse(kind, error.to_string())).await? {
            add(&self.failed);
        }
        Ok(())
    }

    /// Publishes a reply, confirmed; a reply topic that is gone is no failure. Says which it was.
    async fn send(&self, call: &Call, reply: Message) -> Result<bool> {
        match self.publishers.publish(&call.reply_to, reply).await {
            Ok(()) => {
                add(&self.answered);
                Ok(true)
            }
            Err(error) => match error.kind() {
                Kind::NotFound => {
                    add(&self.gone);
                    tracing::debug!(id = %call.id, %error, "the requester is gone");
                    Ok(false)
                }
                // By `close`, before the worker had ended: another responder will answer.
                Kind::Closed => Err(error.with_retryable(true)),
                _ => Err(error),
            },
        }
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Service<Delivery> for Responder {
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, delivery: Delivery) -> Self::Future {
        let (shared, failing) = (self.shared.clone(), self.failing);
        // The delivery is held until the reply is confirmed.
        Box::pin(async move { shared.respond(delivery.record().clone(), failing).await })
    }
}

impl Clone for Responder {
    fn clone(&self) -> Self {
        Responder { shared: self.shared.clone(), failing: self.failing }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder")
            .field("failing", &self.failing)
            .field("answered", &self.answered())
            .finish_non_exhaustive()
    }
}
