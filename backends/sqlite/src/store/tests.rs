//! No room left, a file that another keeps locked, a log that others read: what only the inside can bring about.

use std::time::Duration;

use anybroker_core::{
    Backend as _, Fate, Group, Kind, Message, PublisherExt as _, PublisherOptions, Settlement, Subscription,
    Topic,
};

use crate::error::sql;
use crate::file;
use crate::{Sqlite, SqliteConfig};

async fn open(directory: &tempfile::TempDir) -> Sqlite {
    let config = SqliteConfig { partitions: 2, ..SqliteConfig::new(directory.path().join("a.db")) };
    Sqlite::open(config).await.unwrap()
}

fn topic() -> Topic {
    Topic::new("orders").unwrap()
}

fn messages(count: usize) -> Vec<Message> {
    (0..count).map(|at| Message::new(vec![7; 2_000]).with_key(format!("k{}", at % 10))).collect()
}

/// Allows the file this many more pages than it has.
async fn allow(broker: &Sqlite, more: i64) {
    let limit = broker.store.write("limit", move |transaction| {
        let pages: i64 =
            transaction.sql.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(sql("limit"))?;
        let statement = format!("PRAGMA max_page_count = {}", pages + more);
        transaction.sql.query_row(&statement, [], |_| Ok(())).map_err(sql("limit"))
    });
    limit.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_publishing_is_refused_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(&directory).await;
    let publisher = broker.publisher(PublisherOptions::new(topic())).await.unwrap();
    let subscription = Subscription::new(topic(), Group::new("g").unwrap());
    let mut consumer = broker.consumer(subscription).await.unwrap();
    assert!(publisher.publish_batch(messages(20)).await.iter().all(Result::is_ok));

    allow(&broker, 3).await;
    let outcomes = publisher.publish_batch(messages(200)).await;
    let error = outcomes[0].as_ref().unwrap_err().error();
    assert_eq!((error.kind(), error.fate(), error.is_retryable()), (Kind::Throttled, Fate::NotApplied, true));
    assert!(
        error.to_string().contains("no room left") && error.to_string().contains("free space"),
        "{error}"
    );
    assert!(outcomes.iter().all(Result::is_err), "a batch that does not fit is refused whole");

    allow(&broker, 100_000).await;
    (0..10).for_each(|key| publisher.resume(&format!("k{key}").into()));
    assert!(publisher.publish_batch(messages(5)).await.iter().all(Result::is_ok));
    let mut received = 0;
    while received < 25 {
        let batch =
            tokio::time::timeout(Duration::from_secs(30), consumer.receive(100)).await.unwrap().unwrap();
        received += batch.len();
        let settled = consumer.settler().settle(batch.into_iter().map(Settlement::ack).collect()).await;
        assert!(settled.iter().all(Result::is_ok));
    }
    assert_eq!(received, 25, "what was refused is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_takes_nobody_else_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(&directory).await;
    let publisher = broker.publisher(PublisherOptions::new(topic())).await.unwrap();
    assert!(publisher.publish_batch(messages(1)).await.iter().all(Result::is_ok));
    allow(&broker, 3).await;
    let other = broker.publisher(PublisherOptions::new(topic())).await.unwrap();
    // Both are queued while the writer is busy, so that they share a transaction.
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let busy = broker.store.write("wait", move |_| {
        let _ = crate::store::lock(&wait).recv();
        Ok(())
    });
    let free = async move { drop(go_on) };
    let (busy, large, small, ()) = tokio::join!(
        busy,
        publisher.publish_batch(messages(200)),
        other.publish(Message::new("small")),
        free
    );
    busy.unwrap();
    assert!(large.iter().all(Result::is_err));
    assert!(small.is_ok(), "the small one fits: {small:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_keeps_locked_is_waited_for_and_then_refused() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(&directory).await;
    let publisher = broker.publisher(PublisherOptions::new(topic())).await.unwrap();
    let other = rusqlite::Connection::open(directory.path().join("a.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let outcome = publisher.publish(Message::new("late").with_key("k")).await;
    let refused = outcome.unwrap_err();
    assert_eq!((refused.error().kind(), refused.error().fate()), (Kind::Throttled, Fate::NotApplied));
    assert!(refused.to_string().contains("another process keeps the file locked"), "{refused}");
    other.execute_batch("ROLLBACK").unwrap();
    publisher.resume(&"k".into());
    publisher.publish(refused.into_parts().1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_bounded_while_others_read() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(&directory).await;
    let path = directory.path().join("a.db");
    let publisher = broker.publisher(PublisherOptions::new(topic())).await.unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (path, stop) = (path.clone(), stop.clone());
            std::thread::spawn(move || {
                let connection = rusqlite::Connection::open(path).unwrap();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let count =
                        "SELECT sum(length(hex(payload))) FROM (SELECT payload FROM messages LIMIT 5)";
                    connection.query_row(count, [], |_| Ok(())).unwrap();
                }
            })
        })
        .collect();
    let mut longest = 0;
    for _ in 0..100 {
        let large = (0..50).map(|at| Message::new(vec![7; 40_000]).with_key(format!("k{at}"))).collect();
        assert!(publisher.publish_batch(large).await.iter().all(Result::is_ok));
        longest = longest.max(file::log_length(&path));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    // 200 MB went through it.
    assert!(longest < 130 << 20, "the log grew to {} MiB", longest >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_leaves_keeps_nothing_that_it_did_not_know_to_be_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(&directory).await;
    let publisher = broker.publisher(PublisherOptions::new(topic())).await.unwrap();
    let subscription = Subscription::new(topic(), Group::new("g").unwrap());
    let mut first = broker.consumer(subscription.clone()).await.unwrap();
    publisher.publish(Message::new("1")).await.unwrap();
    first.receive(1).await.unwrap();
    // As when it took the partitions again by a commit whose answer was an error.
    let taken = broker.store.write("take", |transaction| {
        transaction.sql.execute("UPDATE cursors SET epoch = epoch + 1", []).map_err(sql("take"))
    });
    assert_eq!(taken.await.unwrap(), 2);
    first.close().await.unwrap();
    let mut second = broker.consumer(subscription).await.unwrap();
    let received = tokio::time::timeout(Duration::from_secs(30), second.receive(1)).await;
    assert_eq!(received.expect("nobody serves the partitions").unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_looked_at_is_fine_on_a_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(&directory).await;
    broker.publisher(PublisherOptions::new(topic())).await.unwrap();
    let found = broker.admin().diagnose(Some(&topic())).await.unwrap();
    let failures: Vec<_> = found.iter().filter(|d| d.finding == anybroker_core::Finding::Failure).collect();
    assert!(failures.is_empty(), "{failures:?}");
    for subject in ["file system", "file locks", "free space", "log", "sync", "integrity", "users", "topic"] {
        assert!(found.iter().any(|d| d.subject == subject), "{subject} is not looked at");
    }
    let missing = broker.admin().diagnose(Some(&Topic::new("missing").unwrap())).await.unwrap();
    assert!(missing.iter().any(|d| d.subject == "topic" && d.finding == anybroker_core::Finding::Failure));
}
