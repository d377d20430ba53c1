//! The instruments, by their names and units.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};

/// The boundaries that the convention names, in seconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

const ATTEMPTS: [f64; 8] = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// Everything that is measured.
pub(super) struct Instruments {
    operation: Histogram<f64>,
    sent: Counter<u64>,
    consumed: Counter<u64>,
    process: Histogram<f64>,
    pub(super) in_flight: UpDownCounter<i64>,
    pub(super) settled: Counter<u64>,
    pub(super) refused: Counter<u64>,
    pub(super) attempts: Histogram<u64>,
    pub(super) lag: Gauge<u64>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds = |name, text| {
            let builder = meter.f64_histogram(name).with_unit("s").with_description(text);
            builder.with_boundaries(SECONDS.to_vec()).build()
        };
        let messages =
            |name, text| meter.u64_counter(name).with_unit("{message}").with_description(text).build();
        Instruments {
            operation: seconds(
                "messaging.client.operation.duration",
                "Duration of messaging operation initiated by a producer or consumer client.",
            ),
            sent: messages(
                "messaging.client.sent.messages",
                "Number of messages producer attempted to send to the broker.",
            ),
            consumed: messages(
                "messaging.client.consumed.messages",
                "Number of messages that were delivered to the application.",
            ),
            process: seconds("messaging.process.duration", "Duration of processing operation."),
            in_flight: meter
                .i64_up_down_counter("anybroker.worker.handlers.in_flight")
                .with_unit("{handler}")
                .with_description("Handlers that run.")
                .build(),
            settled: messages("anybroker.worker.settled.messages", "Messages settled, by outcome."),
            refused: messages(
                "anybroker.worker.dead_letter.failures",
                "Dead letters that could not be published and are tried again.",
            ),
            attempts: meter
                .u64_histogram("anybroker.worker.message.attempts")
                .with_unit("{attempt}")
                .with_description("Attempts that a message took, up to the last.")
                .with_boundaries(ATTEMPTS.to_vec())
                .build(),
            lag: meter
                .u64_gauge("anybroker.worker.lag")
                .with_unit("{message}")
                .with_description("Messages that the group has not acknowledged.")
                .build(),
        }
    }

    /// An operation of the client has ended.
    pub(super) fn operation(&self, took: Duration, attributes: &[KeyValue]) {
        self.operation.record(took.as_secs_f64(), attributes);
    }

    /// A handler has ended.
    pub(super) fn process(&self, took: Duration, attributes: &[KeyValue]) {
        self.process.record(took.as_secs_f64(), attributes);
    }

    /// So many messages were published, or tried to be.
    pub(super) fn sent(&self, messages: usize, attributes: &[KeyValue]) {
        self.sent.add(messages as u64, attributes);
    }

    /// So many messages were received.
    pub(super) fn consumed(&self, messages: usize, attributes: &[KeyValue]) {
        self.consumed.add(messages as u64, attributes);
    }
}
