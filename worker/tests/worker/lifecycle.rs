//! Beginning and ending.

use std::time::Duration;

use anybroker_core::{Kind, Subscription, Topic};
use anybroker_worker::{Failure, Happening, Observer, Worker};

use crate::common::{Seen, broker, group, keyed, noting, publish, settled, subscription, topic};

#[tokio::test(start_paused = true)]
async fn handlers_that_run_may_end_and_the_rest_goes_back() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(4, 10)).await;
    let handler = noting(&seen, |_| async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(())
    });
    let worker = Worker::builder(broker.clone()).subscribe(subscription(), handler).build().unwrap();
    let waiting = seen.clone();
    worker.run_until(async move { waiting.wait(4).await }).await.unwrap();
    assert_eq!(seen.all().len(), 4);
    assert_eq!(broker.admin().backlog(&topic(), &group()).await.unwrap(), 36);
    // The next worker goes on where this one ended, without a repetition and without a counted attempt.
    let next = Seen::default();
    let handler = noting(&next, |_| async { Ok(()) });
    let worker = Worker::builder(broker.clone()).subscribe(subscription(), handler).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    assert_eq!(next.all().len(), 36);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_end_in_time_is_dropped_and_its_message_comes_again() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(1, 1)).await;
    let handler = noting(&seen, |_| std::future::pending());
    let worker = Worker::builder(broker.clone()).shutdown(Duration::from_secs(5));
    let worker = worker.subscribe(subscription(), handler).build().unwrap();
    let (waiting, began) = (seen.clone(), tokio::time::Instant::now());
    worker.run_until(async move { waiting.wait(1).await }).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(5) && began.elapsed() < Duration::from_secs(6));
    assert_eq!(broker.admin().backlog(&topic(), &group()).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_failure_ends_the_worker_and_takes_the_other_subscriptions_with_it() {
    let (broker, seen, other) = (broker("").await, Seen::default(), Seen::default());
    publish(&broker, keyed(1, 2)).await;
    let fatal = noting(&seen, |_| async { Err(Failure::fatal("the licence has run out")) });
    let quiet = noting(&other, |_| async { Ok(()) });
    let second = Subscription::new(Topic::new("others").unwrap(), group());
    let worker = Worker::builder(broker.clone()).subscribe(subscription(), fatal).subscribe(second, quiet);
    let error = worker.build().unwrap().run_until(std::future::pending()).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("the licence has run out"), "{error}: {source}");
    assert_eq!(broker.admin().backlog(&topic(), &group()).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_opened_is_an_error_before_anything_is_handled() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(1, 2)).await;
    let needs = "ordering=total,delivery=exactly-once".parse().unwrap();
    let impossible = Subscription::new(Topic::new("others").unwrap(), group()).require(needs);
    let worker =
        Worker::builder(broker.clone()).subscribe(subscription(), noting(&seen, |_| async { Ok(()) }));
    let worker = worker.subscribe(impossible, noting(&seen, |_| async { Ok(()) })).build().unwrap();
    let error = worker.run_until(std::future::pending()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unmet, "{error}");
    assert!(seen.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_closed_broker_ends_the_worker_with_an_error() {
    let (broker, seen) = (broker("").await, Seen::default());
    let worker =
        Worker::builder(broker.clone()).subscribe(subscription(), noting(&seen, |_| async { Ok(()) }));
    let running = tokio::spawn(worker.build().unwrap().run_until(std::future::pending()));
    publish(&broker, keyed(1, 1)).await;
    seen.wait(1).await;
    broker.close().await.unwrap();
    assert_eq!(running.await.unwrap().unwrap_err().kind(), Kind::Closed);
}

/// Panics when a message was settled.
struct Clumsy;

impl Observer for Clumsy {
    fn observe(&self, _: &Topic, _: &anybroker_core::Group, happening: &Happening<'_>) {
        assert!(!matches!(happening, Happening::Settled { .. }), "on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_ends_the_worker_with_an_error() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(1, 2)).await;
    let worker = Worker::builder(broker.clone()).observe(std::sync::Arc::new(Clumsy));
    let worker = worker.subscribe(subscription(), noting(&seen, |_| async { Ok(()) })).build().unwrap();
    let error = worker.run_until(std::future::pending()).await.unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
}
