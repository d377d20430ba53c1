//! What the metrics count.

use std::sync::Arc;
use std::time::Duration;

use anybroker_worker::{Failure, Handling, Metrics, Retry, Worker};

use crate::common::{Seen, broker, keyed, noting, publish, settled, subscription};
use crate::mute::Mute;

/// The value of a sample; none if there is none.
fn value(metrics: &Metrics, name: &str, labels: &str) -> Option<f64> {
    let start = format!("anybroker_worker_{name}{{topic=\"orders\",group=\"billing\"{labels}}} ");
    let text = metrics.render();
    let value = text.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned);
    value.map(|value| value.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_messages_is_counted() {
    let (broker, seen, metrics) = (broker("").await, Seen::default(), Metrics::new());
    publish(&broker, keyed(2, 4)).await;
    let handler = noting(&seen, |delivery| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        match (delivery.key(), delivery.payload().as_ref(), delivery.attempt()) {
            (Some(b"k0"), b"1", 1 | 2) => Err(Failure::retryable("the provider is away")),
            (Some(b"k1"), b"2", _) => Err(Failure::permanent("no such order")),
            _ => Ok(()),
        }
    });
    let handling = Handling::default().retry(Retry::default().immediate(2));
    let worker = Worker::builder(broker.clone()).handling(handling).observe(metrics.clone());
    let worker = worker.subscribe(subscription(), handler).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    let count = |name, labels| value(&metrics, name, labels).unwrap();
    assert_eq!(count("attempts_total", ",result=\"ok\""), 7.0);
    assert_eq!(count("attempts_total", ",result=\"retryable\""), 2.0);
    assert_eq!(count("attempts_total", ",result=\"permanent\""), 1.0);
    assert_eq!(count("settled_messages_total", ",outcome=\"acknowledged\""), 7.0);
    assert_eq!(count("settled_messages_total", ",outcome=\"retried\""), 2.0);
    assert_eq!(count("settled_messages_total", ",outcome=\"dead-lettered\""), 1.0);
    // Those behind the failed one were void, and came again after it.
    let void = count("void_messages_total", "");
    assert!(void >= 1.0, "{}", metrics.render());
    assert_eq!(count("received_messages_total", ""), 8.0 + 2.0 + void);
    assert_eq!(count("handlers_in_flight", ""), 0.0);
    assert_eq!(count("handler_seconds_count", ""), 10.0);
    assert_eq!(count("handler_seconds_bucket", ",le=\"0.01\""), 0.0);
    assert_eq!(count("handler_seconds_bucket", ",le=\"0.025\""), 10.0);
    assert!((count("handler_seconds_sum", "") - 0.2).abs() < 0.02);
    assert_eq!(count("settlement_failures_total", ""), 0.0);
}

#[tokio::test(start_paused = true)]
async fn the_lag_is_asked_for_and_is_gone_when_the_worker_is() {
    let (broker, seen, metrics) = (broker("").await, Seen::default(), Metrics::new());
    publish(&broker, keyed(3, 5)).await;
    let handler = noting(&seen, |_| std::future::pending());
    let worker = Worker::builder(broker.clone()).observe(metrics.clone()).shutdown(Duration::ZERO);
    let worker = worker.subscribe(subscription(), handler).build().unwrap();
    let watched = metrics.clone();
    let asked = async move {
        seen.wait(3).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(value(&watched, "lag_messages", ""), Some(15.0));
        assert_eq!(value(&watched, "handlers_in_flight", ""), Some(3.0));
        publish(&broker, keyed(1, 1)).await;
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(value(&watched, "lag_messages", ""), Some(16.0));
    };
    worker.run_until(asked).await.unwrap();
    assert_eq!(value(&metrics, "lag_messages", ""), None);
    assert_eq!(value(&metrics, "handlers_in_flight", ""), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_tell_the_lag_holds_nothing_up() {
    let (broker, seen, metrics) = (broker("").await, Seen::default(), Metrics::new());
    publish(&broker, keyed(3, 5)).await;
    let worker = Worker::builder(Arc::new(Mute(broker.clone()))).observe(metrics.clone());
    let worker = worker.subscribe(subscription(), noting(&seen, |_| async { Ok(()) })).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    assert_eq!(value(&metrics, "lag_messages", ""), None);
}

#[tokio::test(start_paused = true)]
async fn the_text_is_what_prometheus_reads() {
    let (broker, seen, metrics) = (broker("").await, Seen::default(), Metrics::with_lag(None));
    publish(&broker, keyed(1, 1)).await;
    let worker = Worker::builder(broker.clone()).observe(metrics.clone());
    let worker = worker.subscribe(subscription(), noting(&seen, |_| async { Ok(()) })).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    let text = metrics.render();
    let mut family = "";
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# TYPE ") {
            family = comment.split(' ').next().unwrap();
        } else if !line.starts_with('#') {
            let (name, rest) = line.split_once('{').unwrap();
            let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{name} is not of {family}"));
            assert!(["", "_bucket", "_sum", "_count"].contains(&suffix), "{line}");
            let (labels, value) = rest.rsplit_once("} ").unwrap();
            assert!(labels.starts_with("topic=\"orders\",group=\"billing\""), "{line}");
            value.parse::<f64>().unwrap();
        }
    }
    assert!(text.contains(
        "anybroker_worker_handler_seconds_bucket{topic=\"orders\",group=\"billing\",le=\"+Inf\"} 1\n"
    ));
}
