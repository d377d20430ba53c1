//! How long messages are kept, and that nothing goes that some group has not acknowledged.

use std::time::Duration;

use anybroker_core::{Fate, Kind, Message, PublisherExt as _, Settlement, Start, Topology};

use crate::support::{Place, id, messages, publisher, subscription, take, topic};

#[tokio::test(flavor = "multi_thread")]
async fn publishing_is_refused_rather_than_an_unacknowledged_message_lost() {
    let place = Place::new();
    let broker = place.open("partitions=1&retention=100").await;
    let publisher = publisher(&broker).await;
    let mut consumer = broker.consumer(subscription()).await.unwrap();
    let outcomes = publisher.publish_batch(messages(0, 120)).await;
    assert!(outcomes[..100].iter().all(Result::is_ok));
    let error = outcomes[100].as_ref().unwrap_err().error();
    assert_eq!((error.kind(), error.fate()), (Kind::Throttled, Fate::NotApplied), "{error}");
    assert_eq!(outcomes[119].as_ref().unwrap_err().error().kind(), Kind::KeyHeld);

    let taken = take(&mut consumer, 100).await;
    consumer.settler().settle(taken.into_iter().map(Settlement::ack).collect()).await;
    publisher.resume(&"k".into());
    let outcomes = publisher.publish_batch(messages(100, 150)).await;
    assert!(outcomes.iter().all(Result::is_ok), "what is acknowledged makes room");
    assert_eq!(id(&take(&mut consumer, 1).await[0]), "m100");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_messages_go_once_they_are_acknowledged() {
    let place = Place::new();
    let broker = place.open("partitions=1&retention_time=1ms").await;
    publisher(&broker).await.publish_batch(messages(0, 10)).await;
    let mut consumer = broker.consumer(subscription()).await.unwrap();
    let taken = take(&mut consumer, 10).await;
    consumer.settler().settle(taken.into_iter().take(4).map(Settlement::ack).collect()).await;
    let kept = || {
        let connection = rusqlite::Connection::open(place.path()).unwrap();
        connection.query_row("SELECT count(*) FROM messages", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while kept() > 6 && std::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(kept(), 6, "four are acknowledged and old");
    consumer.close().await.unwrap();
    let mut again = broker.consumer(subscription().start(Start::Earliest)).await.unwrap();
    assert_eq!(id(&take(&mut again, 1).await[0]), "m4");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_does_not_grow_once_messages_go() {
    let place = Place::new();
    let broker = place.open("partitions=1&retention=500").await;
    let publisher = publisher(&broker).await;
    let mut consumer = broker.consumer(subscription()).await.unwrap();
    let mut sizes = Vec::new();
    for _ in 0..12 {
        let round = (0..500).map(|_| Message::new(vec![7_u8; 1_000]).with_key("k")).collect();
        assert!(publisher.publish_batch(round).await.iter().all(Result::is_ok));
        let taken = take(&mut consumer, 500).await;
        consumer.settler().settle(taken.into_iter().map(Settlement::ack).collect()).await;
        sizes.push(pages(&place));
    }
    assert!(sizes[11] <= sizes[4] + sizes[4] / 5, "{sizes:?}");
}

/// The pages of the database, whether they are in the log or in the file.
fn pages(place: &Place) -> i64 {
    let connection = rusqlite::Connection::open(place.path()).unwrap();
    connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn purged_and_deleted_messages_are_gone_at_once_and_their_room_soon() {
    let place = Place::new();
    let broker = place.open("partitions=2").await;
    publisher(&broker).await.publish_batch(messages(0, 5_000)).await;
    broker.admin().declare(&Topology::new(topic()).group(subscription().group)).await.unwrap();
    broker.admin().purge(&topic()).await.unwrap();
    assert_eq!(broker.admin().backlog(&topic(), &subscription().group).await.unwrap(), 0);
    publisher(&broker).await.publish_batch(messages(5_000, 5_001)).await;
    let mut consumer = broker.consumer(subscription().start(Start::Earliest)).await.unwrap();
    let held = take(&mut consumer, 1).await;
    assert_eq!(id(&held[0]), "m5000");
    broker.admin().delete(&topic()).await.unwrap();
    assert_eq!(consumer.receive(1).await.unwrap_err().kind(), Kind::NotFound);
    let rows = || {
        let connection = rusqlite::Connection::open(place.path()).unwrap();
        let count = "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM partitions)";
        connection.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while rows() > 0 && std::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rows(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_stored_once_within_the_window_by_every_process() {
    let place = Place::new();
    let broker = place.open("deduplication=1h").await;
    let first = publisher(&broker).await.publish_batch(messages(0, 3)).await;
    // Another handle that states nothing: the topic is what has the window.
    let other = place.open("").await;
    let again = publisher(&other).await.publish_batch(messages(1, 4)).await;
    let told: Vec<_> = again.iter().map(|outcome| outcome.as_ref().unwrap().duplicate).collect();
    assert_eq!(told, [true, true, false]);
    assert_eq!(again[0].as_ref().unwrap().position, first[1].as_ref().unwrap().position);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_differ_are_refused_or_changed_by_name() {
    let place = Place::new();
    let broker = place.open("retention=10").await;
    publisher(&broker).await;
    let options = anybroker_core::PublisherOptions::new(topic());
    let differs = place.open("retention=20").await.publisher(options.clone()).await.unwrap_err();
    assert_eq!(differs.kind(), Kind::InvalidConfiguration);
    assert!(differs.to_string().contains("its retention is 10, not 20"), "{differs}");
    place.open("retention=20&alter=true").await.publisher(options.clone()).await.unwrap();
    place.open("retention=20").await.publisher(options).await.unwrap();
}
