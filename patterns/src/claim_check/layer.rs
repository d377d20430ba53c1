//! Handlers see the payload, wherever it was.

use std::error::Error as StdError;
use std::task::{Context, Poll};

use anybroker_core::Delivery;
use futures::future::BoxFuture;
use tower::{Layer, Service};

use super::ClaimCheck;

type BoxError = Box<dyn StdError + Send + Sync>;

/// A layer for a worker's handlers: a message that carries a claim reaches them with its payload. What cannot be fetched
/// fails as any handler does: a missing or altered blob goes to the dead letter topic, with the reference as it came; a
/// store that is away is tried again.
///
/// ```
/// # use std::sync::Arc;
/// # use anybroker_core::Event;
/// # use anybroker_patterns::claim_check::{ClaimCheck, object_store::memory::InMemory};
/// use anybroker_worker::{Failure, Router};
/// use tower::ServiceBuilder;
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Scan { pixels: Vec<u8> }
/// # impl Event for Scan { const TYPE: &'static str = "scan.made"; }
/// async fn archive(scan: Scan) -> Result<(), Failure> { Ok(()) }
///
/// let claims = ClaimCheck::new(Arc::new(InMemory::new()));
/// let handler = ServiceBuilder::new().layer(claims).service(Router::new().on(archive));
/// ```
impl<S> Layer<S> for ClaimCheck {
    type Service = CheckedOut<S>;

    fn layer(&self, inner: S) -> CheckedOut<S> {
        CheckedOut { claims: self.clone(), inner }
    }
}

/// The service that [`ClaimCheck`] makes as a layer.
#[derive(Clone, Debug)]
pub struct CheckedOut<S> {
    claims: ClaimCheck,
    inner: S,
}

impl<S> Service<Delivery> for CheckedOut<S>
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
        let claims = self.claims.clone();
        // The one that is ready is called; a fresh clone takes its place.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let payload = claims.check_out(&delivery).await?;
            inner.call(delivery.with_payload(payload)).await.map_err(Into::into)
        })
    }
}
