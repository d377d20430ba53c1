//! A message that took effect is not handled again.

use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use anybroker_core::{Delivery, Group};
use futures::future::BoxFuture;
use tower::{Layer, Service};

use crate::failure::{BoxError, Failure, HandlerError};
use crate::store::{Begin, IdempotencyStore};

/// A layer that skips messages whose group has handled them before: redeliveries, and what a publisher sent twice.
///
/// The effect and the note about it are two steps. A process that dies between them handles the message again, so the
/// handler must still bear a repetition, only a rare one. Effects in the database that holds the note need no such luck.
///
/// ```
/// use std::sync::Arc;
/// use anybroker_worker::{Idempotency, MemoryStore, Router};
/// use tower::ServiceBuilder;
/// let store = Arc::new(MemoryStore::new(100_000));
/// let service = ServiceBuilder::new().layer(Idempotency::new(store)).service(Router::new());
/// ```
#[derive(Debug)]
pub struct Idempotency<S: ?Sized> {
    store: Arc<S>,
    lease: Duration,
}

impl<S: ?Sized> Clone for Idempotency<S> {
    fn clone(&self) -> Self {
        Idempotency { store: self.store.clone(), lease: self.lease }
    }
}

impl<S: IdempotencyStore + ?Sized> Idempotency<S> {
    /// Notes in `store` what was handled.
    pub fn new(store: Arc<S>) -> Self {
        Idempotency { store, lease: Duration::from_secs(300) }
    }

    /// How long a message stays claimed if its process dies, 5 minutes by default: longer than a handler may take.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }
}

impl<S: ?Sized, I> Layer<I> for Idempotency<S> {
    type Service = Idempotent<S, I>;

    fn layer(&self, inner: I) -> Self::Service {
        Idempotent { layer: self.clone(), inner }
    }
}

/// The service that [`Idempotency`] makes.
#[derive(Debug)]
pub struct Idempotent<S: ?Sized, I> {
    layer: Idempotency<S>,
    inner: I,
}

impl<S: ?Sized, I: Clone> Clone for Idempotent<S, I> {
    fn clone(&self) -> Self {
        Idempotent { layer: self.layer.clone(), inner: self.inner.clone() }
    }
}

impl<S, I> Service<Delivery> for Idempotent<S, I>
where
    S: IdempotencyStore + ?Sized,
    I: Service<Delivery, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    type Response = ();
    type Error = HandlerError;
    type Future = BoxFuture<'static, Result<(), HandlerError>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), HandlerError>> {
        self.inner.poll_ready(context).map_err(|error| HandlerError(Failure::of(error.into())))
    }

    fn call(&mut self, delivery: Delivery) -> Self::Future {
        let group = delivery.settler().map(|settler| settler.group().clone());
        let (Some(id), Some(group)) = (delivery.identity(), group) else {
            let failure = Failure::permanent("the message has neither id nor position to be known by");
            return Box::pin(std::future::ready(Err(HandlerError(failure))));
        };
        let layer = self.layer.clone();
        // The one that is ready is called; a fresh clone takes its place.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            match layer.store.begin(&group, &id, layer.lease).await.map_err(failed)? {
                Begin::Done => {
                    tracing::debug!(%id, "the message took effect before; it is not handled again");
                    return Ok(());
                }
                Begin::InWork(left) => {
                    let failure =
                        Failure::retry_after(left, "the message is being handled elsewhere at this moment");
                    return Err(HandlerError(failure));
                }
                Begin::Claimed => {}
            }
            let claim = Claim { store: layer.store.clone(), of: Some((group, id)) };
            let handled = inner.call(delivery).await.map(drop).map_err(|error| Failure::of(error.into()));
            match handled {
                Ok(()) => claim.complete().await.map_err(failed),
                Err(failure) => {
                    claim.abandon().await;
                    Err(HandlerError(failure))
                }
            }
        })
    }
}

fn failed(error: anybroker_core::Error) -> HandlerError {
    HandlerError(Failure::retryable(error))
}

/// A claimed message. Dropped with its handler, it is given up in a task of its own, so that the next attempt need not wait
/// for the lease.
struct Claim<S: IdempotencyStore + ?Sized> {
    store: Arc<S>,
    of: Option<(Group, anybroker_core::MessageId)>,
}

impl<S: IdempotencyStore + ?Sized> Claim<S> {
    async fn complete(mut self) -> anybroker_core::Result<()> {
        let Some((group, id)) = self.of.take() else { return Ok(()) };
        self.store.complete(&group, &id).await
    }

    async fn abandon(mut self) {
        let Some((group, id)) = self.of.take() else { return };
        if let Err(error) = self.store.abandon(&group, &id).await {
            tracing::warn!(%error, %id, "a claim could not be given up; it ends with its lease");
        }
    }
}

impl<S: IdempotencyStore + ?Sized> Drop for Claim<S> {
    fn drop(&mut self) {
        if let (Some(of), Ok(runtime)) = (self.of.take(), tokio::runtime::Handle::try_current()) {
            let claim = Claim { store: self.store.clone(), of: Some(of) };
            runtime.spawn(claim.abandon());
        }
    }
}
