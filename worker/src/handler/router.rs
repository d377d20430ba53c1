//! Many event types on one topic: routed by type and version.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{self, Poll};

use anybroker_core::{Delivery, Error, Event};
use futures::future::{BoxFuture, MapErr};
use futures::{FutureExt, TryFutureExt};
use tower::Service;

use super::{Context, Handler};
use crate::failure::{Failure, HandlerError};

/// Calls the handler of a message's event type and version. A `tower` service, so that layers can be put around it.
#[derive(Clone, Default)]
pub struct Router {
    routes: Arc<Routes>,
    unknown: Unknown,
}

/// By type, then by version.
type Routes = BTreeMap<&'static str, BTreeMap<u32, Arc<dyn Route>>>;

/// What becomes of a message whose type and version no handler takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// It is poison: to the dead letter topic. The default.
    #[default]
    Poison,
    /// It is acknowledged: others handle it.
    Ignore,
}

impl Router {
    /// Without a route.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the handler of an event type and version; a later one of the same takes the earlier one's place.
    pub fn on<A: 'static, H: Handler<A>>(mut self, handler: H) -> Self {
        let mut routes = (*self.routes).clone();
        let route = Typed { handler, arguments: PhantomData };
        routes.entry(H::Event::TYPE).or_default().insert(H::Event::VERSION, Arc::new(route));
        self.routes = Arc::new(routes);
        self
    }

    /// States what becomes of messages that no handler takes.
    pub fn unknown(mut self, unknown: Unknown) -> Self {
        self.unknown = unknown;
        self
    }

    pub(crate) fn check(&self, context: &Context) -> Result<(), Error> {
        self.all().try_for_each(|(_, _, route)| route.check(context))
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, u32, &Arc<dyn Route>)> {
        self.routes
            .iter()
            .flat_map(|(name, versions)| versions.iter().map(|(version, route)| (*name, *version, route)))
    }

    fn route(&self, delivery: &Delivery) -> Option<&Arc<dyn Route>> {
        // An unversioned event is of the first version.
        let version = delivery.schema_version().unwrap_or(1);
        self.routes.get(delivery.event_type()?)?.get(&version)
    }

    fn nobody(&self, delivery: &Delivery) -> Failure {
        let (found, version) =
            (delivery.event_type().unwrap_or("no type"), delivery.schema_version().unwrap_or(1));
        let known: Vec<_> =
            self.all().map(|(name, version, _)| format!("{name} version {version}")).collect();
        Failure::poison(format!(
            "no handler takes {found} version {version}; there are some for: {}",
            known.join(", ")
        ))
    }
}

impl Service<Delivery> for Router {
    type Response = ();
    type Error = HandlerError;
    type Future = MapErr<BoxFuture<'static, Result<(), Failure>>, fn(Failure) -> HandlerError>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, delivery: Delivery) -> Self::Future {
        let result = match (self.route(&delivery), self.unknown) {
            (Some(route), _) => return route.handle(&delivery).map_err(HandlerError),
            (None, Unknown::Poison) => Err(self.nobody(&delivery)),
            (None, Unknown::Ignore) => Ok(()),
        };
        std::future::ready(result).boxed().map_err(HandlerError)
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("routes", &self.routes.keys().collect::<Vec<_>>())
            .field("unknown", &self.unknown)
            .finish()
    }
}

/// A handler whose event and extractors are forgotten.
trait Route: Send + Sync {
    fn handle(&self, delivery: &Delivery) -> BoxFuture<'static, Result<(), Failure>>;
    fn check(&self, context: &Context) -> Result<(), Error>;
}

struct Typed<H, A> {
    handler: H,
    arguments: PhantomData<fn() -> A>,
}

impl<A: 'static, H: Handler<A>> Route for Typed<H, A> {
    fn handle(&self, delivery: &Delivery) -> BoxFuture<'static, Result<(), Failure>> {
        self.handler.handle(delivery)
    }

    fn check(&self, context: &Context) -> Result<(), Error> {
        self.handler.check(context)
    }
}
