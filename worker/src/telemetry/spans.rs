//! The spans of a worker: of `tracing` always, of OpenTelemetry where it has a `Telemetry`.

use std::sync::Arc;

use anybroker_core::{
    Broker, Consumer, Delivery, Error, Publisher, PublisherOptions, Result, SettleError, Settled, Settlement,
    Settler, Verdict,
};
use tracing::field::Empty;

use super::Operation;
use crate::serve::is_gone;

/// The `target` of the worker's [`tracing`] spans: `process` around each handler (level info), `receive` and `settle` (level
/// debug). Their fields are named by OpenTelemetry's conventions for messaging.
///
/// The feature `otel` sends spans of its own. A program that also exports `tracing`'s spans leaves these out of that layer,
/// or it has both: `layer.with_filter(filter_fn(|it| it.target() != SPANS))`.
pub const SPANS: &str = "anybroker::worker::spans";

/// Makes the spans of a worker's operations.
#[derive(Clone, Default)]
pub(crate) struct Spans {
    system: Option<&'static str>,
    #[cfg(feature = "otel")]
    otel: Option<super::Telemetry>,
}

impl Spans {
    pub(crate) fn new(broker: &Broker) -> Self {
        Spans {
            system: broker.system(),
            #[cfg(feature = "otel")]
            otel: None,
        }
    }

    #[cfg(feature = "otel")]
    pub(crate) fn with_telemetry(self, telemetry: super::Telemetry) -> Self {
        Spans { otel: Some(telemetry.of_system(self.system)), ..self }
    }

    /// A handler's work on a message, or on a batch.
    pub(crate) fn process<'a>(
        &self,
        settler: &dyn Settler,
        deliveries: impl Iterator<Item = &'a Delivery> + Clone,
        attempt: u32,
    ) -> Operation {
        let count = deliveries.clone().count();
        let one = || deliveries.clone().next().filter(|_| count == 1);
        let position = || one().and_then(Delivery::position);
        let span = tracing::info_span!(
            target: SPANS,
            "process",
            "messaging.system" = self.system,
            "messaging.operation.name" = "process",
            "messaging.operation.type" = "process",
            "messaging.destination.name" = settler.topic().as_str(),
            "messaging.consumer.group.name" = settler.group().as_str(),
            "messaging.message.id" = one().and_then(|it| it.id()).map(tracing::field::display),
            "messaging.destination.partition.id" = position().map(|it| it.partition),
            "anybroker.message.offset" = position().map(|it| it.offset),
            "anybroker.message.attempt" = one().map(|_| attempt),
            "messaging.batch.message_count" = (count != 1).then_some(count),
            "error.type" = Empty,
        );
        Operation {
            span,
            #[cfg(feature = "otel")]
            otel: self.otel.as_ref().map(|it| it.process(settler, deliveries, attempt)),
        }
    }

    /// Takes messages from the consumer.
    ///
    /// # Errors
    /// As [`Consumer::receive`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn receive(
        &self,
        consumer: &mut dyn Consumer,
        settler: &dyn Settler,
        max: usize,
    ) -> Result<Vec<Delivery>> {
        #[cfg(feature = "otel")]
        let began = super::otel::Moment::now();
        let received = consumer.receive(max).await;
        let span = tracing::debug_span!(
            target: SPANS,
            "receive",
            "messaging.system" = self.system,
            "messaging.operation.name" = "receive",
            "messaging.operation.type" = "receive",
            "messaging.destination.name" = settler.topic().as_str(),
            "messaging.consumer.group.name" = settler.group().as_str(),
            "messaging.batch.message_count" = received.as_ref().map_or(0, Vec::len),
            "error.type" = received.as_ref().err().map(|error| error.kind().as_str()),
        );
        span.in_scope(|| tracing::trace!("received"));
        #[cfg(feature = "otel")]
        if let Some(otel) = &self.otel {
            otel.received(settler, began, &received);
        }
        received
    }

    /// Settles a batch, all of it as the first one is.
    ///
    /// # Cancel safety
    /// As [`Settler::settle`].
    pub(crate) async fn settle(
        &self,
        settler: &dyn Settler,
        batch: Vec<Settlement>,
    ) -> Vec<std::result::Result<Settled, SettleError>> {
        let name = batch.first().map_or("settle", |first| verb(&first.verdict));
        let operation = self.settling(settler, name, batch.iter().map(|it| &it.delivery));
        let results = operation.run(settler.settle(batch)).await;
        let failed = results.iter().filter_map(|result| result.as_ref().err()).map(SettleError::error);
        // That a message had been taken away is no failure of settling.
        operation.end(failed.into_iter().find(|error: &&Error| !is_gone(error)));
        results
    }

    fn settling<'a>(
        &self,
        settler: &dyn Settler,
        name: &'static str,
        deliveries: impl Iterator<Item = &'a Delivery> + Clone,
    ) -> Operation {
        let span = tracing::debug_span!(
            target: SPANS,
            "settle",
            "messaging.system" = self.system,
            "messaging.operation.name" = name,
            "messaging.operation.type" = "settle",
            "messaging.destination.name" = settler.topic().as_str(),
            "messaging.consumer.group.name" = settler.group().as_str(),
            "messaging.batch.message_count" = deliveries.clone().count(),
            "error.type" = Empty,
        );
        Operation {
            span,
            #[cfg(feature = "otel")]
            otel: self.otel.as_ref().map(|it| it.settle(settler, name, deliveries)),
        }
    }

    /// Settles messages in a transaction, with what was made of them.
    pub(crate) fn commit<'a>(
        &self,
        settler: &dyn Settler,
        deliveries: impl Iterator<Item = &'a Delivery> + Clone,
    ) -> Operation {
        self.settling(settler, "commit", deliveries)
    }

    /// Opens a publisher whose messages carry the trace on.
    ///
    /// # Errors
    /// As [`Backend::publisher`](anybroker_core::Backend::publisher).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn publisher(
        &self,
        broker: &Broker,
        options: PublisherOptions,
    ) -> Result<Arc<dyn Publisher>> {
        Ok(self.trace(broker.publisher(options).await?))
    }

    /// A publisher whose messages carry the trace on.
    pub(crate) fn trace(&self, publisher: Arc<dyn Publisher>) -> Arc<dyn Publisher> {
        #[cfg(feature = "otel")]
        if let Some(otel) = &self.otel {
            return otel.trace(publisher);
        }
        publisher
    }
}

fn verb(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Ack => "ack",
        Verdict::Nack { .. } => "nack",
        Verdict::DeadLetter { .. } => "dead_letter",
        Verdict::Release => "release",
    }
}
