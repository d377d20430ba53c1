//! Files that are not ours, damaged, missing; brokers that come and go.

use anybroker_core::{Kind, PublisherExt as _};

use crate::support::{Place, integrity, messages, open, publisher, subscription, take};

async fn refused(place: &Place, parameters: &str) -> (Kind, String) {
    let error = open(&place.url(parameters)).await.unwrap_err();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn foreign_and_newer_files_are_refused_and_left_alone() {
    let place = Place::new();
    std::fs::write(place.path(), "a shopping list that is long enough to be looked at ".repeat(50)).unwrap();
    let before = std::fs::read(place.path()).unwrap();
    let (kind, text) = refused(&place, "").await;
    assert_eq!(kind, Kind::InvalidConfiguration);
    assert!(text.contains("no SQLite database") && text.contains("broker.db"), "{text}");
    assert_eq!(std::fs::read(place.path()).unwrap(), before);

    std::fs::remove_file(place.path()).unwrap();
    let connection = rusqlite::Connection::open(place.path()).unwrap();
    connection.execute_batch("CREATE TABLE customers (name TEXT)").unwrap();
    let (kind, text) = refused(&place, "").await;
    assert_eq!(kind, Kind::InvalidConfiguration);
    assert!(text.contains("another program"), "{text}");
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
    drop(connection);

    std::fs::remove_file(place.path()).unwrap();
    place.open("").await.close().await.unwrap();
    rusqlite::Connection::open(place.path()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let (kind, text) = refused(&place, "").await;
    assert_eq!(kind, Kind::InvalidConfiguration);
    assert!(text.contains("version 99") && text.contains("newer anybroker"), "{text}");
}

#[tokio::test]
async fn missing_files_and_directories_are_told_apart() {
    let place = Place::new();
    let (kind, text) = refused(&place, "topology=check").await;
    assert_eq!(kind, Kind::NotFound);
    assert!(text.contains("topology=create"), "{text}");
    assert!(!place.path().exists());
    let url = format!("sqlite://{}/no/such/directory/a.db", place.path().parent().unwrap().display());
    let error = open(&url).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("create the directory"), "{error}");
}

/// Waits until the last connection, which a thread of its own closes, has put its journal into the file. Of two that close in
/// the same moment each may take the other for the last one, and SQLite leaves the journal to whoever comes next.
async fn left(place: &Place) {
    let journal = place.path().with_extension("db-wal");
    let gone = async {
        while journal.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            assert_eq!(integrity(&place.path()), "ok");
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_said_to_be_damaged() {
    let place = Place::new();
    let broker = place.open("partitions=1").await;
    publisher(&broker).await.publish_batch(messages(0, 2_000)).await;
    broker.close().await.unwrap();
    drop(broker);
    left(&place).await;
    let mut bytes = std::fs::read(place.path()).unwrap();
    let (from, upto) = (bytes.len() / 4, bytes.len() - 8_192);
    bytes[from..upto].fill(0xAA);
    std::fs::write(place.path(), &bytes).unwrap();
    assert_ne!(integrity(&place.path()), "ok");
    let told = async {
        let broker = open(&place.url("")).await?;
        let mut consumer = broker.consumer(subscription()).await?;
        loop {
            consumer.receive(1_000).await?;
        }
        #[allow(unreachable_code, reason = "gives the block its type")]
        Ok::<(), anybroker_core::Error>(())
    };
    let error = tokio::time::timeout(std::time::Duration::from_secs(30), told).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_the_last_one_left() {
    let place = Place::new();
    for round in 0..3 {
        let broker = place.open("partitions=1").await;
        publisher(&broker).await.publish_batch(messages(round * 2, round * 2 + 2)).await;
        let mut consumer = broker.consumer(subscription()).await.unwrap();
        take(&mut consumer, 1).await.remove(0).ack().await.unwrap();
        broker.close().await.unwrap();
        drop((consumer, broker));
        left(&place).await;
        let beside = std::fs::read_dir(place.path().parent().unwrap()).unwrap().count();
        assert_eq!(beside, 2, "the database and one directory are left");
    }
    assert_eq!(integrity(&place.path()), "ok");
}
