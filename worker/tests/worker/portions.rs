//! Handlers that neither wait nor fail are dealt with in portions, which nobody is to notice.

use std::time::Duration;

use anybroker_core::Message;
use anybroker_worker::{Failure, Handling, Worker};

use crate::common::{Seen, broker, keyed, noting, publish, settled, subscription};

#[tokio::test(start_paused = true)]
async fn one_that_waits_leaves_the_rest_of_its_portion_to_others() {
    let (broker, seen) = (broker("?partitions=1").await, Seen::default());
    publish(&broker, keyed(200, 1)).await;
    let handler = noting(&seen, |delivery| async move {
        if delivery.key() == Some(b"k100") {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        Ok(())
    });
    let worker = Worker::builder(broker.clone()).handling(Handling::default().concurrency(2));
    let worker = worker.subscribe(subscription(), handler).build().unwrap();
    let (waiting, began) = (seen.clone(), tokio::time::Instant::now());
    let all_begun = async move {
        waiting.wait(200).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    };
    worker.run_until(all_begun).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_key_begins_before_an_earlier_failure_came_again() {
    let (broker, seen) = (broker("?partitions=1").await, Seen::default());
    publish(&broker, keyed(1, 100)).await;
    let handler = noting(&seen, |delivery| async move {
        match (&delivery.payload()[..], delivery.attempt()) {
            (b"50", 1) => Err(Failure::retryable("not yet")),
            _ => Ok(()),
        }
    });
    let worker = Worker::builder(broker.clone()).subscribe(subscription(), handler).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    let begun: Vec<usize> = seen.all().iter().map(|(_, payload, _)| payload.parse().unwrap()).collect();
    assert_eq!(begun, (0..=50).chain(50..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn one_at_a_time_that_does_not_wait_keeps_the_order_of_receiving_across_keys() {
    let (broker, seen) = (broker("?partitions=1").await, Seen::default());
    let key = |number: usize| if number % 5 == 4 { "rare" } else { "often" };
    publish(&broker, (0..50).map(|number| Message::new(number.to_string()).with_key(key(number)))).await;
    let handler = noting(&seen, |_| async { Ok(()) });
    let worker = Worker::builder(broker.clone()).handling(Handling::default().concurrency(1));
    let worker = worker.subscribe(subscription(), handler).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    let begun: Vec<usize> = seen.all().iter().map(|(_, payload, _)| payload.parse().unwrap()).collect();
    assert_eq!(begun, (0..50).collect::<Vec<_>>());
}
