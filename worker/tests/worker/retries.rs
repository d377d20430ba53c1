//! Failed messages come again, in order unless that is given up.

use std::time::Duration;

use anybroker_worker::{Failure, Handling, Retry, Worker};

use crate::common::{Seen, broker, keyed, letters, noting, publish, settled, subscription};

fn failing_first(
    key: &'static str,
    payload: &'static str,
    times: u32,
    seen: &Seen,
) -> crate::common::Service {
    noting(seen, move |delivery| async move {
        let it = delivery.key() == Some(key.as_bytes()) && delivery.payload() == payload.as_bytes();
        match it && delivery.attempt() <= times {
            true => Err(Failure::retryable("the provider is away")),
            false => Ok(()),
        }
    })
}

fn of_key(seen: &Seen, key: &str) -> Vec<(String, u32)> {
    let all = seen.all().into_iter().filter(|(of, _, _)| of == key);
    all.map(|(_, payload, attempt)| (payload, attempt)).collect()
}

#[tokio::test(start_paused = true)]
async fn later_messages_of_the_key_wait_and_other_keys_go_on() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(2, 4)).await;
    let retry = Retry::default().immediate(1).backoff(Duration::from_secs(10), Duration::from_secs(60));
    let worker = Worker::builder(broker.clone()).handling(Handling::default().retry(retry));
    let worker = worker.subscribe(subscription(), failing_first("k0", "1", 3, &seen)).build().unwrap();
    let began = tokio::time::Instant::now();
    worker.run_until(settled(&broker)).await.unwrap();
    let waited = began.elapsed();
    let expected = [("0", 1), ("1", 1), ("1", 2), ("1", 3), ("1", 4), ("2", 1), ("3", 1)];
    let expected = expected.map(|(payload, attempt)| (payload.to_owned(), attempt));
    assert_eq!(of_key(&seen, "k0"), expected);
    assert_eq!(of_key(&seen, "k1").len(), 4);
    // At once, then 10 and 20 s, each less up to a half.
    assert!(waited > Duration::from_secs(15) && waited < Duration::from_secs(31), "{waited:?}");
    let last = seen.all().iter().rposition(|(key, ..)| key == "k1").unwrap();
    let third = seen.all().iter().position(|(key, _, attempt)| key == "k0" && *attempt == 3).unwrap();
    assert!(last < third, "the other key waited");
}

#[tokio::test(start_paused = true)]
async fn out_of_order_the_later_ones_go_on() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(1, 3)).await;
    let retry = Retry::default().immediate(0).out_of_order();
    let worker = Worker::builder(broker.clone()).handling(Handling::default().retry(retry));
    let worker = worker.subscribe(subscription(), failing_first("k0", "0", 2, &seen)).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    let expected = [("0", 1), ("1", 1), ("2", 1), ("0", 2), ("0", 3)];
    assert_eq!(of_key(&seen, "k0"), expected.map(|(payload, attempt)| (payload.to_owned(), attempt)));
}

#[tokio::test(start_paused = true)]
async fn when_attempts_run_out_there_is_one_dead_letter() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(1, 3)).await;
    let worker =
        Worker::builder(broker.clone()).handling(Handling::default().retry(Retry::default().attempts(4)));
    let worker = worker.subscribe(subscription(), failing_first("k0", "1", 99, &seen)).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    assert_eq!(of_key(&seen, "k0").len(), 6, "{:?}", seen.all());
    let letters = letters(&broker).await;
    assert_eq!(letters.len(), 1);
    let letter = anybroker_core::dead_letter::DeadLetter::read(&letters[0]);
    assert_eq!(letters[0].payload(), "1");
    assert!(format!("{letter:?}").contains("the provider is away"), "{letter:?}");
}

#[tokio::test(start_paused = true)]
async fn old_messages_are_not_tried_again() {
    let (broker, seen) = (broker("").await, Seen::default());
    let mut old = keyed(1, 1);
    old[0].time = Some(std::time::SystemTime::now() - Duration::from_secs(3600));
    publish(&broker, old).await;
    let retry = Retry::default().age(Duration::from_secs(60));
    let worker = Worker::builder(broker.clone()).handling(Handling::default().retry(retry));
    let worker = worker.subscribe(subscription(), failing_first("k0", "0", 99, &seen)).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    assert_eq!((seen.all().len(), letters(&broker).await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_dropped_and_tried_again() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(2, 2)).await;
    let handler = noting(&seen, |delivery| async move {
        if delivery.key() == Some(b"k0") && delivery.payload() == "0" && delivery.attempt() == 1 {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let handling = Handling::default().timeout(Duration::from_secs(7));
    let worker = Worker::builder(broker.clone()).handling(handling).subscribe(subscription(), handler);
    worker.build().unwrap().run_until(settled(&broker)).await.unwrap();
    assert_eq!(of_key(&seen, "k0"), [("0", 1), ("0", 2), ("1", 1)].map(|(p, a)| (p.to_owned(), a)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_of_its_message() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(2, 2)).await;
    let handler = noting(&seen, |delivery| async move {
        assert!(delivery.key() != Some(b"k0") || delivery.attempt() > 1, "on purpose");
        Ok(())
    });
    let worker = Worker::builder(broker.clone()).subscribe(subscription(), handler).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    assert_eq!(of_key(&seen, "k0").len(), 4);
}
