//! Prometheus' text format.

use std::fmt::{self, Display, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::series::Series;
use crate::telemetry::subscriptions::Entry;

type One = (&'static str, &'static str, fn(&Series) -> &AtomicU64);

const COUNTERS: [One; 6] = [
    ("received_messages_total", "Messages taken from the broker.", |it| &it.received),
    ("void_messages_total", "Messages that were void before their handler began.", |it| &it.void),
    ("delayed_messages_total", "Messages put aside for a later attempt, out of order.", |it| &it.delayed),
    ("settlements_superseded_total", "Settlements of messages that had been taken away.", |it| {
        &it.taken_away
    }),
    ("settlement_failures_total", "Settlements that failed; the messages come again.", |it| {
        &it.settle_failed
    }),
    ("dead_letter_failures_total", "Dead letters that could not be published and are tried again.", |it| {
        &it.dead_letters_refused
    }),
];

/// A counter with a label of its own.
type Labelled = (&'static str, &'static str, &'static str, fn(&Series) -> Vec<(&'static str, u64)>);

const LABELLED: [Labelled; 2] = [
    ("attempts_total", "Handlers that ended, by result.", "result", |it| it.attempts().collect()),
    ("settled_messages_total", "Messages settled, by outcome.", "outcome", |it| it.settled().collect()),
];

pub(super) fn render(all: &[&Entry<Series>]) -> String {
    let mut text = Text(String::new());
    for (name, help, of) in COUNTERS {
        text.family(name, "counter", help);
        all.iter().for_each(|one| text.sample(name, one, "", of(&one.value).load(Relaxed)));
    }
    for (name, help, label, of) in LABELLED {
        text.family(name, "counter", help);
        for one in all {
            for (value, count) in of(&one.value) {
                text.sample(name, one, &format!(",{label}=\"{value}\""), count);
            }
        }
    }
    gauges(&mut text, all);
    histogram(&mut text, all);
    text.0
}

fn gauges(text: &mut Text, all: &[&Entry<Series>]) {
    text.family("handlers_in_flight", "gauge", "Handlers that run.");
    all.iter().for_each(|one| text.sample("handlers_in_flight", one, "", one.value.in_flight.load(Relaxed)));
    text.family("lag_messages", "gauge", "Messages that the group has not acknowledged.");
    let known = all.iter().filter_map(|one| Some((one, one.value.lag()?)));
    known.for_each(|(one, lag)| text.sample("lag_messages", one, "", lag));
}

fn histogram(text: &mut Text, all: &[&Entry<Series>]) {
    text.family("handler_seconds", "histogram", "How long handlers took.");
    for one in all {
        let mut count = 0;
        for (bound, sum) in one.value.handler.cumulative() {
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            text.sample("handler_seconds_bucket", one, &format!(",le=\"{bound}\""), sum);
            count = sum;
        }
        text.sample("handler_seconds_sum", one, "", one.value.handler.sum());
        text.sample("handler_seconds_count", one, "", count);
    }
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!(
            "# HELP anybroker_worker_{name} {help}\n# TYPE anybroker_worker_{name} {kind}\n"
        ));
    }

    /// Names of topics and groups have nothing that must be escaped.
    fn sample(&mut self, name: &str, of: &Entry<Series>, labels: &str, value: impl Display) {
        let (topic, group) = (&of.topic, &of.group);
        self.put(format_args!(
            "anybroker_worker_{name}{{topic=\"{topic}\",group=\"{group}\"{labels}}} {value}\n"
        ));
    }

    fn put(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(text);
    }
}
