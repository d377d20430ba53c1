//! Handlers see the payload without its frame.

use std::error::Error as StdError;
use std::task::{Context, Poll};

use anybroker_core::{Delivery, Result};
use anybroker_worker::{Failure, Outcomes};
use futures::future::{BoxFuture, join_all};
use tower::{Layer, Service};

use super::Framing;
use super::framing::Read;
use crate::schema::layer::merge;

type BoxError = Box<dyn StdError + Send + Sync>;

impl<S> Layer<S> for Framing {
    type Service = Unframing<S>;

    fn layer(&self, inner: S) -> Unframing<S> {
        Unframing { framing: self.clone(), inner }
    }
}

/// The service that [`Framing`] makes as a layer, around handlers of single messages and of batches.
#[derive(Clone, Debug)]
pub struct Unframing<S> {
    framing: Framing,
    inner: S,
}

async fn unframed(framing: &Framing, delivery: Delivery) -> Result<Delivery> {
    let Read { payload, event_type, version } = framing.read(&delivery).await?;
    let mut delivery = delivery.with_payload(payload);
    if let Some(event_type) = event_type {
        delivery = delivery.with_type(&event_type);
    }
    Ok(match version {
        Some(version) => delivery.with_schema_version(version),
        None => delivery,
    })
}

impl<S> Service<Delivery> for Unframing<S>
where
    S: Service<Delivery, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, delivery: Delivery) -> Self::Future {
        let framing = self.framing.clone();
        // The one that is ready is called; a fresh clone takes its place.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let delivery = unframed(&framing, delivery).await?;
            inner.call(delivery).await.map_err(Into::into)
        })
    }
}

impl<S> Service<Vec<Delivery>> for Unframing<S>
where
    S: Service<Vec<Delivery>, Response: Into<Outcomes>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Response = Outcomes;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Outcomes, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    /// The handler gets those that could be read; the others have their failure already.
    fn call(&mut self, batch: Vec<Delivery>) -> Self::Future {
        let framing = self.framing.clone();
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let read = join_all(batch.into_iter().map(|delivery| unframed(&framing, delivery))).await;
            let mut readable = Vec::with_capacity(read.len());
            let failed: Vec<_> = read
                .into_iter()
                .map(|read| read.map(|delivery| readable.push(delivery)).err().map(Failure::from))
                .collect();
            let count = readable.len();
            if count == 0 {
                return Ok(failed.into_iter().flatten().map(Err).collect::<Vec<_>>().into());
            }
            let outcomes = inner.call(readable).await.map_err(Into::into)?.into();
            Ok(merge(failed, outcomes, count))
        })
    }
}
