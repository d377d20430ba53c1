//! Keys at once, each in order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anybroker_worker::{Handling, Worker};

use crate::common::{Seen, broker, keyed, noting, publish, settled, subscription};

#[tokio::test(start_paused = true)]
async fn each_key_is_handled_in_order_and_keys_at_once() {
    let (broker, seen) = (broker("?partitions=3").await, Seen::default());
    publish(&broker, keyed(20, 50)).await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let most_seen = most.clone();
    let handler = noting(&seen, move |delivery| {
        let (running, most) = (running.clone(), most.clone());
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1 + delivery.payload()[0] as u64 % 7)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    });
    let worker = Worker::builder(broker.clone()).handling(Handling::default().concurrency(8));
    let worker = worker.subscribe(subscription(), handler).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    assert_eq!(most_seen.load(Ordering::SeqCst), 8);
    let mut by_key: HashMap<_, Vec<usize>> = HashMap::new();
    for (key, payload, attempt) in seen.all() {
        assert_eq!(attempt, 1);
        by_key.entry(key).or_default().push(payload.parse().unwrap());
    }
    assert_eq!(by_key.len(), 20);
    assert!(by_key.values().all(|numbers| numbers.iter().copied().eq(0..50)), "{by_key:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_key_keeps_no_other_waiting() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(4, 25)).await;
    let handler = noting(&seen, |delivery| async move {
        let slow = delivery.key() == Some(b"k0");
        tokio::time::sleep(if slow { Duration::from_secs(10) } else { Duration::from_millis(1) }).await;
        Ok(())
    });
    let worker = Worker::builder(broker.clone()).subscribe(subscription(), handler).build().unwrap();
    let waiting = seen.clone();
    // 75 of the quick ones and the first slow one, which has not ended by then.
    let began = tokio::time::Instant::now();
    worker.run_until(async move { waiting.wait(76).await }).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_at_a_time_is_the_order_of_receiving() {
    let (broker, seen) = (broker("?partitions=1").await, Seen::default());
    publish(&broker, keyed(3, 10)).await;
    let handler = noting(&seen, |_| async {
        tokio::task::yield_now().await;
        Ok(())
    });
    let worker = Worker::builder(broker.clone()).handling(Handling::default().concurrency(1));
    let worker = worker.subscribe(subscription(), handler).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    let numbers: Vec<usize> = seen.all().iter().map(|(_, payload, _)| payload.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 30);
}
