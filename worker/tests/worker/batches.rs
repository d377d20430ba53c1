//! Handlers of batches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anybroker_core::{Event, Message};
use anybroker_worker::{Batches, Failure, Handling, Item, State, Worker};
use serde::{Deserialize, Serialize};

use crate::common::{broker, letters, publish, settled, subscription};

#[derive(Serialize, Deserialize)]
struct Numbered {
    number: u32,
}

impl Event for Numbered {
    const TYPE: &'static str = "numbered";
}

fn numbered(keys: usize, each: u32) -> Vec<Message> {
    let all = (0..each).flat_map(|number| (0..keys).map(move |key| (key, number)));
    all.map(|(key, number)| Message::event(&Numbered { number }).unwrap().with_key(format!("k{key}")))
        .collect()
}

type Batch = Vec<(String, u32, u32)>;

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Batch>>>);

impl Seen {
    fn note(&self, batch: &[Item<Numbered>]) {
        let each = batch
            .iter()
            .map(|item| (item.delivery.to_key().unwrap().to_string(), item.number, item.delivery.attempt()));
        self.0.lock().unwrap().push(each.collect());
    }

    fn by_key(&self) -> HashMap<String, Vec<u32>> {
        let mut all: HashMap<String, Vec<u32>> = HashMap::new();
        for (key, number, _) in self.0.lock().unwrap().iter().flatten() {
            all.entry(key.clone()).or_default().push(*number);
        }
        all
    }
}

async fn store(batch: Vec<Item<Numbered>>, State(seen): State<Seen>) {
    seen.note(&batch);
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn batches_keep_each_key_in_order() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, numbered(7, 40)).await;
    let worker =
        Worker::builder(broker.clone()).state(seen.clone()).handling(Handling::default().concurrency(3));
    let worker = worker.subscribe_batch(subscription(), Batches::of(25), store).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    let by_key = seen.by_key();
    assert_eq!(by_key.len(), 7);
    assert!(by_key.values().all(|numbers| numbers.iter().copied().eq(0..40)), "{by_key:?}");
    let sizes: Vec<_> = seen.0.lock().unwrap().iter().map(Vec::len).collect();
    assert!(sizes.iter().all(|size| *size <= 25) && sizes.contains(&25), "{sizes:?}");
}

/// Number 1 of key 0 fails at its first two attempts; number 3 of key 1 for good.
async fn some_fail(batch: Vec<Item<Numbered>>, State(seen): State<Seen>) -> Vec<Result<(), Failure>> {
    seen.note(&batch);
    let each = batch.iter().map(|item| match (item.delivery.key(), item.number, item.delivery.attempt()) {
        (Some(b"k0"), 1, 1..=2) => Err(Failure::retryable("not yet")),
        (Some(b"k1"), 3, _) => Err(Failure::permanent("never")),
        _ => Ok(()),
    });
    each.collect()
}

#[tokio::test(start_paused = true)]
async fn each_message_of_a_batch_has_its_own_outcome() {
    let (broker, seen) = (broker("").await, Seen::default());
    let mut messages = numbered(3, 5);
    messages.push(Message::new("no event").with_key("k2"));
    publish(&broker, messages).await;
    let worker = Worker::builder(broker.clone()).state(seen.clone());
    let worker = worker.subscribe_batch(subscription(), Batches::of(100), some_fail).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    let by_key = seen.by_key();
    assert_eq!(by_key["k1"], [0, 1, 2, 3, 4]);
    assert_eq!(by_key["k2"], [0, 1, 2, 3, 4]);
    // What was said of the later ones together with the failure is void: they come again after it.
    assert_eq!(by_key["k0"], [0, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]);
    assert_eq!(letters(&broker).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_may_wait_for_more() {
    let (broker, seen) = (broker("").await, Seen::default());
    let worker =
        Worker::builder(broker.clone()).state(seen.clone()).handling(Handling::default().concurrency(1));
    let batches = Batches::of(10).linger(Duration::from_secs(1));
    let worker = worker.subscribe_batch(subscription(), batches, store).build().unwrap();
    let publishing = async {
        for message in numbered(1, 6) {
            publish(&broker, [message]).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        settled(&broker).await;
    };
    worker.run_until(publishing).await.unwrap();
    assert_eq!(seen.0.lock().unwrap().iter().map(Vec::len).collect::<Vec<_>>(), [6]);
}

async fn too_few(_: Vec<Item<Numbered>>) -> Vec<Result<(), Failure>> {
    vec![Ok(())]
}

#[tokio::test(start_paused = true)]
async fn a_wrong_number_of_outcomes_loses_nothing() {
    let broker = broker("").await;
    publish(&broker, numbered(3, 1)).await;
    let worker = Worker::builder(broker.clone()).handling(Handling::default().concurrency(1));
    let worker = worker.subscribe_batch(subscription(), Batches::of(10), too_few).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    assert_eq!(letters(&broker).await.len(), 3);
}
