//! OpenTelemetry: spans, metrics, and the trace that travels with the messages.

mod context;
mod instruments;
mod names;
mod operation;
mod publisher;
mod watching;

use std::fmt;
use std::sync::Arc;

use anybroker_core::{Broker, Publisher, PublisherOptions, Result};
use opentelemetry::InstrumentationScope;
use opentelemetry::global::{self, BoxedTracer};

use instruments::Instruments;
use names::System;
pub(crate) use operation::{Moment, Started};
use publisher::TracedPublisher;
use watching::Watching;

use crate::observe::Observer;

/// Sends a worker's spans and metrics to OpenTelemetry, by its conventions for messaging, and lets traces travel with the
/// messages.
///
/// # What becomes of a trace
/// - A message that is published through [`Publishers`](crate::Publishers) or [`publisher`](Self::publisher) gets the context
///   of its `send` span as the CloudEvents attributes `traceparent` and `tracestate` (W3C Trace Context), unless it has one
///   already, which is never changed.
/// - A handler runs within a `process` span, which links to the message's context and is its *child*: from the first
///   message to the last handler it is one trace. With [`links_only`](Self::links_only) it begins a trace of its own. The
///   span of a batch always does, and links to each message.
/// - `receive`, `ack`, `nack` and `dead_letter` are spans of the client, which link to the messages.
///
/// The context of other programs is also read where their instrumentation puts it: in the header `traceparent`.
///
/// It goes to the providers that are global when it is made; `docs/observability.md` has a whole program.
///
/// ```
/// # use anybroker_core::{Delivery, Group, Message, PublisherExt, PublisherOptions, Subscription, Topic};
/// # use anybroker_worker::{BoxError, Telemetry, Worker};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anybroker_core::Result<()> {
/// # let broker = anybroker_memory::connect(&"memory://".parse()?).await?;
/// # let topic = Topic::new("orders")?;
/// # let subscription = Subscription::new(topic.clone(), Group::new("billing")?);
/// # let handler = tower::service_fn(|_: Delivery| async { Ok::<_, BoxError>(()) });
/// // After opentelemetry::global::set_tracer_provider and set_meter_provider.
/// let telemetry = Telemetry::new();
///
/// // Outside of handlers.
/// let publisher = telemetry.publisher(&broker, PublisherOptions::new(topic)).await?;
/// publisher.publish(Message::new("3 apples")).await?;
///
/// let worker = Worker::builder(broker).telemetry(telemetry).subscribe(subscription, handler).build()?;
/// # worker.run_until(async {}).await
/// # }
/// ```
#[derive(Clone)]
pub struct Telemetry {
    tracer: Arc<BoxedTracer>,
    instruments: Arc<Instruments>,
    system: System,
    parent: bool,
    headers: bool,
}

impl Telemetry {
    /// Of OpenTelemetry's global providers as they are now.
    pub fn new() -> Self {
        let scope =
            InstrumentationScope::builder("anybroker").with_version(env!("CARGO_PKG_VERSION")).build();
        Telemetry {
            tracer: Arc::new(global::tracer_with_scope(scope.clone())),
            instruments: Arc::new(Instruments::new(&global::meter_with_scope(scope))),
            system: System::default(),
            parent: true,
            headers: false,
        }
    }

    /// Each handler begins a trace of its own, which links to the one that published the message: for long chains and wide
    /// fan-outs, whose one trace would be too large.
    pub fn links_only(mut self) -> Self {
        self.parent = false;
        self
    }

    /// Puts the context into the headers `traceparent` and `tracestate` as well: for consumers of other languages, whose
    /// instrumentation looks there.
    pub fn also_in_headers(mut self) -> Self {
        self.headers = true;
        self
    }

    /// Opens a publisher whose messages carry the current context's trace on: for publishing outside of handlers. Each
    /// batch that is enqueued is one span.
    ///
    /// # Errors
    /// As [`Backend::publisher`](anybroker_core::Backend::publisher).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn publisher(&self, broker: &Broker, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        Ok(self.clone().of_system(broker.system()).trace(broker.publisher(options).await?))
    }

    pub(crate) fn trace(&self, publisher: Arc<dyn Publisher>) -> Arc<dyn Publisher> {
        Arc::new(TracedPublisher::new(publisher, self.clone()))
    }

    pub(crate) fn of_system(mut self, system: Option<&'static str>) -> Self {
        self.system = System::of(system);
        self
    }

    /// What counts and measures for it.
    pub(crate) fn observer(&self, broker: &Broker) -> Arc<dyn Observer> {
        Arc::new(Watching::new(self.instruments.clone(), System::of(broker.system())))
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("parent", &self.parent).finish_non_exhaustive()
    }
}
