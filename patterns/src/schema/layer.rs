//! Handlers see the newest version, whatever was published.

use std::error::Error as StdError;
use std::task::{Context, Poll};

use anybroker_core::{Delivery, Result};
use anybroker_worker::{Failure, Outcomes};
use futures::future::{BoxFuture, Either, Ready, ready};
use tower::{Layer, Service};

use super::Upcasters;

type BoxError = Box<dyn StdError + Send + Sync>;

/// A layer for a worker's handlers, of single messages and of batches: what was written in an old version of its schema
/// reaches them in the newest. What no chain leads from, and what is newer than the program, goes to the dead letter topic
/// like all that cannot be read: as it was published, so that it can be replayed once the program knows better.
///
/// Inside of a claim check: `ServiceBuilder::new().layer(claims).layer(upcasters)`.
///
/// ```
/// # use anybroker_core::Event;
/// use anybroker_patterns::schema::Upcasters;
/// use anybroker_worker::{Failure, Router};
/// use serde_json::json;
/// use tower::ServiceBuilder;
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct OrderPlaced { cents: u64, currency: String }
/// # impl Event for OrderPlaced { const TYPE: &'static str = "order.placed"; const VERSION: u32 = 2; }
/// async fn bill(order: OrderPlaced) -> Result<(), Failure> { Ok(()) }
///
/// let upcasters = Upcasters::new()
///     .step("order.placed", 1, 2, |mut data| { data["currency"] = json!("EUR"); Ok(data) })?;
/// let handler = ServiceBuilder::new().layer(upcasters).service(Router::new().on(bill));
/// # Ok::<_, anybroker_core::Error>(())
/// ```
impl<S> Layer<S> for Upcasters {
    type Service = Upcasting<S>;

    fn layer(&self, inner: S) -> Upcasting<S> {
        Upcasting { upcasters: self.clone(), inner }
    }
}

/// The service that [`Upcasters`] make as a layer.
#[derive(Clone, Debug)]
pub struct Upcasting<S> {
    upcasters: Upcasters,
    inner: S,
}

impl<S> Upcasting<S> {
    fn upcast(&self, delivery: Delivery) -> Result<Delivery> {
        Ok(match self.upcasters.newest(&delivery)? {
            Some((version, data)) => delivery.with_payload(data).with_schema_version(version),
            None => delivery,
        })
    }
}

impl<S> Service<Delivery> for Upcasting<S>
where
    S: Service<Delivery, Error: Into<BoxError>, Future: Send + 'static>,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Either<
        Ready<Result<S::Response, BoxError>>,
        futures::future::MapErr<S::Future, fn(S::Error) -> BoxError>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, delivery: Delivery) -> Self::Future {
        use futures::TryFutureExt as _;
        match self.upcast(delivery) {
            Ok(delivery) => Either::Right(self.inner.call(delivery).map_err(Into::into)),
            Err(error) => Either::Left(ready(Err(error.into()))),
        }
    }
}

impl<S> Service<Vec<Delivery>> for Upcasting<S>
where
    S: Service<Vec<Delivery>, Response: Into<Outcomes>, Error: Into<BoxError>, Future: Send + 'static>,
{
    type Response = Outcomes;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Outcomes, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    /// The handler gets those that could be read; the others have their failure already.
    fn call(&mut self, batch: Vec<Delivery>) -> Self::Future {
        let mut readable = Vec::with_capacity(batch.len());
        let mut failed = Vec::with_capacity(batch.len());
        for delivery in batch {
            let upcast = self.upcast(delivery);
            failed.push(upcast.map(|delivery| readable.push(delivery)).err().map(Failure::from));
        }
        let count = readable.len();
        if count == 0 {
            let all: Vec<_> = failed.into_iter().flatten().map(Err).collect();
            return Box::pin(ready(Ok(all.into())));
        }
        let handled = self.inner.call(readable);
        Box::pin(async move {
            let outcomes = handled.await.map_err(Into::into)?.into();
            Ok(merge(failed, outcomes, count))
        })
    }
}

/// One outcome a message: those that failed before have theirs, and `count` others are in `outcomes`.
pub(super) fn merge(failed: Vec<Option<Failure>>, outcomes: Outcomes, count: usize) -> Outcomes {
    let mut each = outcomes.each(count).into_iter();
    let merged = failed.into_iter().map(|failure| match failure {
        Some(failure) => Err(failure),
        None => each.next().unwrap_or(Ok(())),
    });
    merged.collect::<Vec<_>>().into()
}
