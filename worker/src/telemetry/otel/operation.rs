//! The spans of OpenTelemetry.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anybroker_core::{Delivery, Error, Result, Settler};
use opentelemetry::trace::{FutureExt, Link, SpanBuilder, SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use tokio::time::Instant;

use super::instruments::Instruments;
use super::names::{self, BATCH, BODY_SIZE, MESSAGE_ID, PARTITION, count};
use super::{Telemetry, context};
use crate::telemetry::operation::Failed;

/// How many messages a span links to: more than that many links the SDK drops anyway, unless it is told otherwise.
const LINKS: usize = 128;

/// When something began.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    wall: SystemTime,
    instant: Instant,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Moment { wall: SystemTime::now(), instant: Instant::now() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.instant.elapsed()
    }
}

/// A span that has begun.
pub(crate) struct Started {
    context: Context,
    began: Moment,
    instruments: Arc<Instruments>,
    /// Of the duration.
    attributes: Vec<KeyValue>,
    processes: bool,
}

impl Started {
    /// Runs `future` with the span as the current one.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        future.with_context(self.context.clone()).await
    }

    /// Ends the span, and measures it.
    pub(crate) fn end(self, failed: Option<&Failed<'_>>) {
        let span = self.context.span();
        if let Some(failed) = failed {
            span.set_attribute(names::error_type(failed.kind));
            span.set_status(Status::error(failed.text.to_string()));
        }
        span.end();
        let mut attributes = self.attributes;
        attributes.extend(failed.map(|failed| names::error_type(failed.kind)));
        match self.processes {
            true => self.instruments.process(self.began.elapsed(), &attributes),
            false => self.instruments.operation(self.began.elapsed(), &attributes),
        }
    }
}

impl Telemetry {
    /// A handler's work on a message, or on a batch.
    pub(crate) fn process<'a>(
        &self,
        settler: &dyn Settler,
        deliveries: impl Iterator<Item = &'a Delivery> + Clone,
        attempt: u32,
    ) -> Started {
        let began = Moment::now();
        let common = self.system.attributes("process", "process", settler.topic(), Some(settler.group()));
        let mut attributes = common.clone();
        let all = deliveries.clone().count();
        let one = deliveries.clone().next().filter(|_| all == 1);
        match one {
            Some(one) => {
                attributes.extend(about(one));
                let position = one.position();
                let offset = position.map(|it| KeyValue::new(self.system.offset(), it.offset as i64));
                attributes.extend(offset);
                attributes.push(KeyValue::new("anybroker.message.attempt", i64::from(attempt)));
            }
            None => attributes.push(KeyValue::new(BATCH, count(all))),
        }
        // A handler runs in nobody else's scope, so that nothing is lost by making the message's context its parent.
        let remote = one.filter(|_| self.parent).and_then(|one| context::of_record(one.record()));
        let parent = remote.map_or_else(Context::new, |it| Context::new().with_remote_span_context(it));
        let builder = SpanBuilder::from_name(format!("process {}", settler.topic()))
            .with_kind(SpanKind::Consumer)
            .with_attributes(attributes)
            .with_links(links(deliveries, one.is_none()));
        Started { processes: true, ..self.started(self.start(builder, &parent), began, common) }
    }

    /// What was received, or why nothing was.
    pub(crate) fn received(&self, settler: &dyn Settler, began: Moment, received: &Result<Vec<Delivery>>) {
        let (topic, group) = (settler.topic(), Some(settler.group()));
        let attributes = self.system.attributes("receive", "receive", topic, group);
        let deliveries = received.as_ref().map_or(&[][..], Vec::as_slice);
        let mut of_span = attributes.clone();
        of_span.push(KeyValue::new(BATCH, count(deliveries.len())));
        let builder = SpanBuilder::from_name(format!("receive {topic}"))
            .with_kind(SpanKind::Client)
            .with_start_time(began.wall)
            .with_attributes(of_span)
            .with_links(links(deliveries.iter(), true));
        self.instruments.consumed(deliveries.len(), &attributes);
        let failed = received.as_ref().err().map(Failed::from);
        self.started(self.start(builder, &Context::new()), began, attributes).end(failed.as_ref());
    }

    /// The settlement of a batch.
    pub(crate) fn settle<'a>(
        &self,
        settler: &dyn Settler,
        name: &'static str,
        deliveries: impl Iterator<Item = &'a Delivery> + Clone,
    ) -> Started {
        let began = Moment::now();
        let (topic, group) = (settler.topic(), Some(settler.group()));
        let attributes = self.system.attributes(name, "settle", topic, group);
        let mut of_span = attributes.clone();
        of_span.push(KeyValue::new(BATCH, count(deliveries.clone().count())));
        let builder = SpanBuilder::from_name(format!("{name} {topic}"))
            .with_kind(SpanKind::Client)
            .with_attributes(of_span)
            .with_links(links(deliveries, true));
        self.started(self.start(builder, &Context::new()), began, attributes)
    }

    pub(super) fn start(&self, builder: SpanBuilder, parent: &Context) -> Context {
        parent.with_span(builder.start_with_context(&*self.tracer, parent))
    }

    fn started(&self, context: Context, began: Moment, attributes: Vec<KeyValue>) -> Started {
        Started { context, began, instruments: self.instruments.clone(), attributes, processes: false }
    }
}

/// What is said of a single message.
fn about(delivery: &Delivery) -> impl Iterator<Item = KeyValue> {
    let id = delivery.id().map(|id| KeyValue::new(MESSAGE_ID, id.to_string()));
    let size = KeyValue::new(BODY_SIZE, count(delivery.payload().len()));
    let partition = delivery.position().map(|it| KeyValue::new(PARTITION, it.partition.to_string()));
    id.into_iter().chain([size]).chain(partition)
}

/// Links to the contexts in which messages were made. Those of a batch say which message it is.
fn links<'a>(deliveries: impl Iterator<Item = &'a Delivery>, named: bool) -> Vec<Link> {
    let known = deliveries.filter_map(|it| Some((it, context::of_record(it.record())?)));
    let link = |(delivery, context): (&Delivery, _)| {
        let id = delivery.id().filter(|_| named);
        Link::new(context, id.map(|id| KeyValue::new(MESSAGE_ID, id.to_string())).into_iter().collect(), 0)
    };
    known.take(LINKS).map(link).collect()
}

/// The error of a publish in a word.
pub(super) fn failed(error: &Error) -> Failed<'_> {
    Failed::from(error)
}
