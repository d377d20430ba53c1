//! A publisher whose messages carry the trace on.

use std::sync::Arc;

use anybroker_core::kit::{Confirmations, Permit};
use anybroker_core::{Key, Message, Outcome, PublishError, Publisher, Result, Topic};
use async_trait::async_trait;
use opentelemetry::trace::{Link, SpanBuilder, SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use super::names::{self, BATCH, BODY_SIZE, MESSAGE_ID, PARTITION, count};
use super::operation::{Moment, failed};
use super::{Telemetry, context};

/// Publishes as the one within does; each batch is one `send` span, whose context its messages get.
#[derive(Debug)]
pub(super) struct TracedPublisher {
    publisher: Arc<dyn Publisher>,
    telemetry: Telemetry,
}

impl TracedPublisher {
    pub(super) fn new(publisher: Arc<dyn Publisher>, telemetry: Telemetry) -> Self {
        TracedPublisher { publisher, telemetry }
    }

    fn begin(&self, batch: &mut [Message]) -> Sending {
        let began = Moment::now();
        let topic = self.topic();
        let attributes = self.telemetry.system.attributes("send", "send", topic, None);
        let mut of_span = attributes.clone();
        match &*batch {
            [one] => {
                of_span.push(KeyValue::new(MESSAGE_ID, one.id.to_string()));
                of_span.push(KeyValue::new(BODY_SIZE, count(one.payload.len())));
            }
            all => of_span.push(KeyValue::new(BATCH, count(all.len()))),
        }
        // A context that the application has put in stays, and is linked to.
        let own: Vec<_> = batch.iter().map(context::of_message).collect();
        let builder = SpanBuilder::from_name(format!("send {topic}"))
            .with_kind(SpanKind::Producer)
            .with_attributes(of_span)
            .with_links(own.iter().flatten().cloned().map(Link::with_context).collect());
        let context = self.telemetry.start(builder, &Context::current());
        let sent_in = context.span().span_context().clone();
        if sent_in.is_valid() {
            let without = batch.iter_mut().zip(&own).filter(|(_, own)| own.is_none());
            without.for_each(|(message, _)| context::put(&sent_in, self.telemetry.headers, message));
        }
        Sending { telemetry: self.telemetry.clone(), context, began, attributes }
    }
}

/// A batch on its way.
struct Sending {
    telemetry: Telemetry,
    context: Context,
    began: Moment,
    attributes: Vec<KeyValue>,
}

impl Sending {
    fn end(mut self, outcomes: &[Outcome]) {
        let span = self.context.span();
        if let [Ok(receipt)] = outcomes {
            let partition = receipt.position.map(|it| KeyValue::new(PARTITION, it.partition.to_string()));
            span.set_attributes(partition);
        }
        let instruments = self.telemetry.instruments.clone();
        let confirmed = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        if confirmed > 0 {
            instruments.sent(confirmed, &self.attributes);
        }
        let mut failures = outcomes.iter().filter_map(|it| it.as_ref().err()).map(PublishError::error);
        if let Some(first) = failures.next() {
            let first = failed(first);
            span.set_attribute(names::error_type(first.kind));
            span.set_status(Status::error(first.text.to_string()));
            self.attributes.push(names::error_type(first.kind));
            instruments.sent(outcomes.len() - confirmed, &self.attributes);
        }
        span.end();
        instruments.operation(self.began.elapsed(), &self.attributes);
    }
}

#[async_trait]
impl Publisher for TracedPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.publisher.ready(messages, bytes + messages * context::SIZE).await
    }

    fn enqueue(&self, permit: Permit, mut batch: Vec<Message>) -> Confirmations {
        let sending = self.begin(&mut batch);
        self.publisher.enqueue(permit, batch).inspect(move |outcomes| sending.end(outcomes))
    }

    async fn flush(&self) -> Result<()> {
        self.publisher.flush().await
    }

    fn resume(&self, key: &Key) {
        self.publisher.resume(key);
    }

    fn topic(&self) -> &Topic {
        self.publisher.topic()
    }

    async fn close(&self) -> Result<()> {
        self.publisher.close().await
    }
}
