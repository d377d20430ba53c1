//! Putting a worker together.

use std::any::TypeId;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Broker, Error, Kind, Result, Subscription, TransactionalId};
use futures::future::BoxFuture;

use crate::handler::{Context, IntoBatchService, IntoService, States};
use crate::handling::{Batches, Handling};
use crate::observe::Observer;
use crate::publishers::Publishers;
use crate::serve::{Serving, Sources};
use crate::telemetry::Spans;
use crate::worker::Worker;

/// Makes a [`Worker`].
pub struct Builder {
    broker: Broker,
    states: States,
    handling: Handling,
    shutdown: Duration,
    observers: Vec<Arc<dyn Observer>>,
    beside: Vec<BoxFuture<'static, ()>>,
    #[cfg(feature = "otel")]
    telemetry: Option<crate::Telemetry>,
    subscribed: Vec<Subscribed>,
}

type Prepare = Box<dyn FnOnce(&Context) -> Result<Serve> + Send>;
/// Runs a subscription once its consumer is open.
pub(crate) type Serve = Box<dyn FnOnce(Serving, Context) -> BoxFuture<'static, Result<()>> + Send>;

struct Subscribed {
    subscription: Subscription,
    handling: Option<Handling>,
    prepare: Prepare,
}

/// A subscription that is ready to be opened.
pub(crate) struct Prepared {
    pub(crate) subscription: Subscription,
    pub(crate) handling: Handling,
    pub(crate) serve: Serve,
}

impl Builder {
    pub(crate) fn new(broker: Broker) -> Self {
        Builder {
            broker,
            states: States::new(),
            handling: Handling::default(),
            shutdown: Duration::from_secs(25),
            observers: Vec::new(),
            beside: Vec::new(),
            #[cfg(feature = "otel")]
            telemetry: None,
            subscribed: Vec::new(),
        }
    }

    /// Gives the handlers a value to ask for with [`State<T>`](crate::State); one of each type.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.insert(TypeId::of::<T>(), Arc::new(value));
        self
    }

    /// How messages are handled where [`subscribe_with`](Self::subscribe_with) does not say.
    pub fn handling(mut self, handling: Handling) -> Self {
        self.handling = handling;
        self
    }

    /// How long handlers may go on after the signal to end: 25 s by default, within the 30 s that Kubernetes gives.
    pub fn shutdown(mut self, limit: Duration) -> Self {
        self.shutdown = limit;
        self
    }

    /// Lets `observer` hear what happens.
    pub fn observe(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Sends spans and metrics to OpenTelemetry, and lets traces travel with the messages.
    #[cfg(feature = "otel")]
    pub fn telemetry(mut self, telemetry: crate::Telemetry) -> Self {
        self.telemetry = Some(telemetry);
        self
    }

    /// Answers `/livez`, `/readyz` and `/metrics` over HTTP while the worker runs.
    #[cfg(feature = "endpoint")]
    pub fn endpoint(mut self, endpoint: crate::Endpoint) -> Self {
        self.observers.extend([endpoint.health().clone() as Arc<dyn Observer>, endpoint.metrics().clone()]);
        self.beside.push(Box::pin(endpoint.serve()));
        self
    }

    /// Handles the messages of a subscription: with an async function, a [`Router`](crate::Router) or any
    /// `tower::Service<Delivery>`.
    pub fn subscribe<M, H>(self, subscription: Subscription, handler: H) -> Self
    where
        H: IntoService<M> + Send + 'static,
    {
        self.add(subscription, None, handler)
    }

    /// The same, with a handling of its own.
    pub fn subscribe_with<M, H>(self, subscription: Subscription, handling: Handling, handler: H) -> Self
    where
        H: IntoService<M> + Send + 'static,
    {
        self.add(subscription, Some(handling), handler)
    }

    fn add<M, H>(self, subscription: Subscription, handling: Option<Handling>, handler: H) -> Self
    where
        H: IntoService<M> + Send + 'static,
    {
        let prepare = |context: &Context| -> Result<Serve> {
            let service = handler.into_service(context)?;
            Ok(Box::new(move |serving: Serving, context| Box::pin(serving.run(context, service))))
        };
        self.prepare(subscription, handling, Box::new(prepare))
    }

    /// Handles the messages of a subscription in batches: with an async function over events of one type, or any
    /// `tower::Service<Vec<Delivery>>`. Messages of a key are in order, within a batch and from one to the next; when one of
    /// them is to come again, what was said of the later ones of its key in the batch is void, and they come again after it.
    pub fn subscribe_batch<M, H>(self, subscription: Subscription, batches: Batches, handler: H) -> Self
    where
        H: IntoBatchService<M> + Send + 'static,
    {
        self.add_batch(subscription, None, batches, handler)
    }

    /// The same, with a handling of its own.
    pub fn subscribe_batch_with<M, H>(
        self,
        subscription: Subscription,
        handling: Handling,
        batches: Batches,
        handler: H,
    ) -> Self
    where
        H: IntoBatchService<M> + Send + 'static,
    {
        self.add_batch(subscription, Some(handling), batches, handler)
    }

    fn add_batch<M, H>(
        self,
        subscription: Subscription,
        handling: Option<Handling>,
        batches: Batches,
        handler: H,
    ) -> Self
    where
        H: IntoBatchService<M> + Send + 'static,
    {
        let prepare = move |context: &Context| -> Result<Serve> {
            let service = handler.into_batch_service(context)?;
            Ok(Box::new(move |serving: Serving, context| {
                Box::pin(serving.run_batches(context, service, batches))
            }))
        };
        self.prepare(subscription, handling, Box::new(prepare))
    }

    fn prepare(mut self, subscription: Subscription, handling: Option<Handling>, prepare: Prepare) -> Self {
        self.subscribed.push(Subscribed { subscription, handling, prepare });
        self
    }

    /// The worker, checked as far as it can be without a broker.
    ///
    /// # Errors
    /// `InvalidConfiguration`: no subscription; a handler asks for a state that is not there; messages are to be
    /// parked without a dead letter topic; two subscriptions have the same transactional id; the subscription's own limit of
    /// attempts and the worker's contradict each other.
    pub fn build(self) -> Result<Worker> {
        let invalid = |text: &str| Error::new(Kind::InvalidConfiguration, "build the worker", text);
        if self.subscribed.is_empty() {
            return Err(invalid("it has no subscription").advice("add one: Builder::subscribe"));
        }
        let (spans, observers) = (Spans::new(&self.broker), self.observers);
        #[cfg(feature = "otel")]
        let (spans, observers) = match self.telemetry {
            Some(telemetry) => {
                let measuring = telemetry.observer(&self.broker);
                (spans.with_telemetry(telemetry), observers.into_iter().chain([measuring]).collect())
            }
            None => (spans, observers),
        };
        let context = Context::new(Arc::new(self.states), Publishers::with(self.broker.clone(), spans));
        let mut prepared = Vec::new();
        for Subscribed { subscription, handling, prepare } in self.subscribed {
            if subscription.dead_letter.as_ref().is_some_and(|policy| policy.max_attempts.is_some()) {
                let error =
                    invalid("the dead letter policy has a limit of attempts, which the worker counts");
                let error =
                    error.on(format!("topic `{}`, group `{}`", subscription.topic, subscription.group));
                return Err(error.advice("set max_attempts to None, and the limit in Handling::retry"));
            }
            let serve = prepare(&context)?;
            let handling = handling.unwrap_or_else(|| self.handling.clone());
            if handling.parking.is_some() && subscription.dead_letter.is_none() {
                let error =
                    invalid("messages are to be parked, and the subscription names no dead letter topic");
                return Err(error.advice("name one: Subscription::dead_letter"));
            }
            prepared.push(Prepared { subscription, handling, serve });
        }
        let mut ids = HashSet::new();
        let own = |id: &TransactionalId| ids.insert(id.clone());
        if !prepared.iter().filter_map(|it| Some(&it.handling.exactly_once.as_ref()?.id)).all(own) {
            let error =
                invalid("two subscriptions have the same transactional id: each would fence the other");
            return Err(error.advice("give each an id of its own: Builder::subscribe_with"));
        }
        Ok(Worker {
            broker: self.broker,
            context,
            prepared,
            observers: observers.into(),
            beside: self.beside,
            shutdown: self.shutdown,
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subscriptions: Vec<_> = self.subscribed.iter().map(|it| &it.subscription).collect();
        f.debug_struct("Builder").field("subscriptions", &subscriptions).finish_non_exhaustive()
    }
}

/// What is open of a subscription, with what serves it.
pub(crate) struct Opened {
    pub(crate) sources: Sources,
    pub(crate) prepared: Prepared,
}
