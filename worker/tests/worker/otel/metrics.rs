//! Names, units and values of what is measured.

use std::collections::BTreeMap;

use anybroker_core::Message;
use anybroker_worker::Telemetry;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;

use super::collector::{attributes, collector};
use super::{Topics, run};
use crate::common::bare_broker;

/// A measured value with its attributes; of a histogram, the count.
type Point = (f64, BTreeMap<String, String>);

/// The last export of an instrument: its unit, and the points of this test's topics.
fn points(metrics: &[Metric], name: &str) -> (String, Vec<Point>) {
    let last = metrics.iter().rev().find(|it| it.name == name).unwrap_or_else(|| panic!("no {name}"));
    let number = |value: &Option<Value>| match value {
        Some(Value::AsInt(number)) => *number as f64,
        Some(Value::AsDouble(number)) => *number,
        None => panic!("no value"),
    };
    let numbers = |all: &[opentelemetry_proto::tonic::metrics::v1::NumberDataPoint]| -> Vec<Point> {
        all.iter().map(|it| (number(&it.value), attributes(&it.attributes))).collect()
    };
    let mut all = match last.data.as_ref().unwrap() {
        Data::Sum(sum) => numbers(&sum.data_points),
        Data::Gauge(gauge) => numbers(&gauge.data_points),
        Data::Histogram(all) => {
            all.data_points.iter().map(|it| (it.count as f64, attributes(&it.attributes))).collect()
        }
        other => panic!("{other:?}"),
    };
    all.retain(|(_, by)| by["messaging.destination.name"].starts_with("measured."));
    (last.unit.clone(), all)
}

/// The sum of the points with all of these attributes.
fn sum(metrics: &[Metric], name: &str, unit: &str, by: &[(&str, &str)]) -> f64 {
    let (found, all) = points(metrics, name);
    assert_eq!(found, unit, "{name}");
    assert!(all.iter().all(|(_, it)| it["messaging.system"] == "memory"), "{name}: {all:?}");
    let has = |it: &BTreeMap<String, String>| {
        by.iter().all(|(name, value)| it.get(*name).is_some_and(|it| it == value))
    };
    all.iter().filter(|(_, it)| has(it)).map(|(value, _)| value).sum()
}

#[tokio::test]
async fn what_is_measured_has_the_conventions_names_and_units() {
    let (all, broker) = (collector(), bare_broker("").await);
    let topics = Topics::declare("measured", &broker).await;
    run(Telemetry::new(), &topics, &broker, ["now", "later", "never"].map(Message::new).into()).await;
    let metrics = all.metrics();
    let orders = ("messaging.destination.name", "measured.orders");
    let group = ("messaging.consumer.group.name", "billing");
    let operation = |name| ("messaging.operation.name", name);
    let sum = |name, unit, by: &[_]| sum(&metrics, name, unit, by);

    let sent = "messaging.client.sent.messages";
    assert_eq!(sum(sent, "{message}", &[orders, operation("send")]), 3.0);
    assert_eq!(sum(sent, "{message}", &[("messaging.destination.name", "measured.bills")]), 2.0);
    // One of them twice.
    let consumed = "messaging.client.consumed.messages";
    assert_eq!(sum(consumed, "{message}", &[orders, group, operation("receive")]), 4.0);

    let process = "messaging.process.duration";
    assert_eq!(sum(process, "s", &[orders, group, operation("process")]), 4.0);
    assert_eq!(sum(process, "s", &[orders, ("error.type", "retryable")]), 1.0);
    assert_eq!(sum(process, "s", &[orders, ("error.type", "permanent")]), 1.0);

    let duration = "messaging.client.operation.duration";
    assert_eq!(sum(duration, "s", &[orders, operation("send")]), 3.0);
    assert_eq!(sum(duration, "s", &[orders, operation("nack")]), 1.0);
    assert_eq!(sum(duration, "s", &[orders, operation("dead_letter")]), 1.0);
    assert!(sum(duration, "s", &[orders, group, operation("ack")]) >= 1.0);
    assert!(sum(duration, "s", &[orders, group, operation("receive")]) >= 1.0);
    assert_eq!(sum(duration, "s", &[operation("process")]), 0.0);

    let settled = "anybroker.worker.settled.messages";
    let outcome = |outcome| sum(settled, "{message}", &[orders, ("anybroker.outcome", outcome)]);
    assert_eq!((outcome("acknowledged"), outcome("retried"), outcome("dead-lettered")), (2.0, 1.0, 1.0));
    assert_eq!(sum("anybroker.worker.message.attempts", "{attempt}", &[orders]), 3.0);
    assert_eq!(sum("anybroker.worker.handlers.in_flight", "{handler}", &[orders]), 0.0);
    // The lag is a gauge: whatever it was when it was asked for.
    assert!(!points(&metrics, "anybroker.worker.lag").1.is_empty());
}
