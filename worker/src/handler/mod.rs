//! Handlers: async functions over typed events, routers, and any `tower` service.

mod batch;
mod context;
mod extract;
mod router;
mod typed;

use anybroker_core::{Delivery, Error};
use tower::Service;

pub use batch::{BatchHandler, Batched, IntoBatchService, Item, Outcomes};
pub use context::Context;
pub(crate) use context::{HandlerSettler, States};
pub use extract::{Attempt, Deadline, Extract, FromWorker, State};
pub use router::{Router, Unknown};
pub use typed::{Handler, IntoResult};

use crate::failure::BoxError;

/// What [`Builder::subscribe`](crate::Builder::subscribe) takes: an async function over an event, a [`Router`], or any
/// `tower::Service<Delivery>` that can be cloned. `M` tells them apart and is never written.
pub trait IntoService<M> {
    /// The service; each of the concurrent handlers has a clone.
    type Service: Service<Delivery, Error: Into<BoxError>, Future: Send> + Clone + Send + Sync + 'static;

    /// Makes the service.
    ///
    /// # Errors
    /// `InvalidConfiguration` if the worker has not got what the handler asks for.
    fn into_service(self, context: &Context) -> Result<Self::Service, Error>;
}

/// Marks async functions.
#[derive(Debug)]
pub struct ByFunction<A>(std::marker::PhantomData<A>);

/// Marks other services.
#[derive(Debug)]
pub struct ByService;

impl<A: 'static, H: Handler<A>> IntoService<ByFunction<A>> for H {
    type Service = Router;

    fn into_service(self, context: &Context) -> Result<Router, Error> {
        IntoService::<ByService>::into_service(Router::new().on(self), context)
    }
}

impl<S> IntoService<ByService> for S
where
    S: Service<Delivery, Error: Into<BoxError>, Future: Send> + Clone + Send + Sync + 'static,
{
    type Service = S;

    fn into_service(self, context: &Context) -> Result<S, Error> {
        // A bare router can be asked at the start; what lies within layers says so with its first message.
        let any: &dyn std::any::Any = &self;
        any.downcast_ref::<Router>().map_or(Ok(()), |router| router.check(context))?;
        Ok(self)
    }
}
