//! The circuit breaker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anybroker_worker::{CircuitBreaker, Failure, Handling, Retry, Worker};
use tower::ServiceBuilder;

use crate::common::{Seen, broker, keyed, letters, noting, publish, settled, subscription};

#[tokio::test(start_paused = true)]
async fn an_open_circuit_holds_messages_back_and_uses_up_no_attempts() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(50, 2)).await;
    let away = Arc::new(AtomicBool::new(true));
    let is_away = away.clone();
    let handler = noting(&seen, move |_| {
        let away = is_away.load(Ordering::SeqCst);
        async move { if away { Err(Failure::retryable("the database is away")) } else { Ok(()) } }
    });
    // An hour of outage, with attempts that would be used up in a second.
    let retry = Retry::default().immediate(20).attempts(20);
    let breaker = CircuitBreaker::new(5, Duration::from_secs(10));
    let service = ServiceBuilder::new().layer(breaker).service(handler);
    let handling = Handling::default().concurrency(4).retry(retry).timeout(Duration::from_secs(60));
    let worker = Worker::builder(broker.clone())
        .handling(handling)
        .subscribe(subscription(), service)
        .build()
        .unwrap();
    let outage = async {
        tokio::time::sleep(Duration::from_secs(150)).await;
        let tried = seen.all().len();
        assert!(tried < 30, "{tried} attempts");
        away.store(false, Ordering::SeqCst);
        settled(&broker).await;
    };
    worker.run_until(outage).await.unwrap();
    assert!(letters(&broker).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_does_not_keep_a_worker_from_ending() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(10, 1)).await;
    let handler = noting(&seen, |_| async { Err(Failure::retryable("away")) });
    let service =
        ServiceBuilder::new().layer(CircuitBreaker::new(1, Duration::from_secs(3600))).service(handler);
    let worker = Worker::builder(broker.clone()).subscribe(subscription(), service).build().unwrap();
    let (waiting, began) = (seen.clone(), tokio::time::Instant::now());
    worker.run_until(async move { waiting.wait(1).await }).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
