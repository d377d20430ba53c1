//! What speed rests on: many messages share a commit, and so an fsync. Counted, not timed.

use anybroker_core::{PublisherExt as _, Settlement};

use crate::support::{Place, messages, publisher, subscription, take};

/// Commits in the write-ahead log: a frame that ends a transaction tells the size of the database.
fn commits(place: &Place) -> usize {
    let log = std::fs::read(place.path().with_extension("db-wal")).unwrap();
    let page = u32::from_be_bytes(log[8..12].try_into().unwrap()) as usize;
    let salt = &log[16..24];
    let frames = log[32..].chunks_exact(24 + page).take_while(|frame| &frame[8..16] == salt);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_and_acknowledgements_share_a_commit() {
    let place = Place::new();
    let broker = place.open("").await;
    let publisher = publisher(&broker).await;
    let mut consumer = broker.consumer(subscription().prefetch(2_000)).await.unwrap();
    let before = commits(&place);
    // Two hundred callers, who know nothing of each other.
    let calls = (0..200).map(|at| publisher.publish_batch(messages(at * 10, at * 10 + 10)));
    let outcomes = futures::future::join_all(calls).await;
    assert!(outcomes.iter().flatten().all(Result::is_ok));
    let published = commits(&place) - before;
    assert!((1..=60).contains(&published), "2,000 messages in 200 calls took {published} commits");

    let taken = take(&mut consumer, 2_000).await;
    let before = commits(&place);
    let settler = consumer.settler();
    let acks = taken.into_iter().map(|delivery| settler.settle(vec![Settlement::ack(delivery)]));
    let settled = futures::future::join_all(acks).await;
    assert!(settled.iter().flatten().all(Result::is_ok));
    let acknowledged = commits(&place) - before;
    assert!((1..=600).contains(&acknowledged), "2,000 single acknowledgements took {acknowledged} commits");
}
