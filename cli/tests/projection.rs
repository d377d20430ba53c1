//! `anybroker projection` on a SQLite file.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and so do their helpers")]

#[cfg(test)]
mod command;

use anybroker::async_trait;
use anybroker::patterns::database::Sqlite;
use anybroker::patterns::event_store::{EventStore, Expected, NewEvent, Recorded};
use anybroker::patterns::projection::{BoxError, Projection, Projector, Tables};
use command::{Ran, anybroker};
use sqlx::{AssertSqlSafe, SqliteConnection};

/// Counts events by stream, and refuses those that say no.
struct Counts;

#[async_trait]
impl Projection<Sqlite> for Counts {
    fn name(&self) -> &str {
        "counts"
    }

    fn version(&self) -> u32 {
        1
    }

    fn tables(&self) -> &[&str] {
        &["counts"]
    }

    async fn create(&self, connection: &mut SqliteConnection, tables: &Tables) -> Result<(), BoxError> {
        let sql = format!("create table {} (stream text, version integer)", tables.table("counts"));
        sqlx::query(AssertSqlSafe(sql)).execute(connection).await?;
        Ok(())
    }

    async fn apply(
        &self,
        connection: &mut SqliteConnection,
        tables: &Tables,
        event: &Recorded,
    ) -> Result<(), BoxError> {
        if event.event_type == "no" {
            return Err("it says no".into());
        }
        let sql = format!("insert into {} values (?, ?)", tables.table("counts"));
        let insert = sqlx::query(AssertSqlSafe(sql)).bind(&event.stream).bind(event.version as i64);
        insert.execute(connection).await?;
        Ok(())
    }
}

async fn append(store: &EventStore<Sqlite>, event_type: &str) -> u64 {
    let mut transaction = store.begin().await.unwrap();
    let event = NewEvent::new(event_type, 1, "{}");
    let appended = store.append(&mut transaction, "order-7", Expected::Any, &[event]).await.unwrap();
    transaction.commit().await.unwrap();
    appended.position
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_is_looked_at_waited_for_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let url = format!("sqlite://{}", path.display());
    let database = Sqlite::open(&path).await.unwrap();
    let ask =
        |args: &[&str]| -> Ran { anybroker(&[&["projection", args[0], &url], &args[1..]].concat(), "") };
    let early = ask(&["list"]);
    assert_eq!(early.code, Some(2), "{early:?}");
    assert!(early.err.contains("anybroker migrate"), "{early:?}");

    database.migrate().await.unwrap();
    let store = EventStore::open(database.clone()).await.unwrap();
    let projector = Projector::open(store.clone(), Counts, Default::default()).await.unwrap();
    let first = append(&store, "yes").await;
    projector.catch_up().await.unwrap();
    let listed = ask(&["list", "--format", "json", "--max-lag", "0"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let line = listed.json().remove(0);
    assert_eq!((&line["name"], &line["live"], &line["lag"]), (&"counts".into(), &true.into(), &0.into()));
    assert_eq!(ask(&["parked", "counts"]).code, Some(0), "nothing is parked");
    assert_eq!(ask(&["wait", "counts", &first.to_string()]).code, Some(0));
    assert_eq!(ask(&["wait", "sums", "1"]).code, Some(1), "there is no such projection");

    let refused = append(&store, "no").await;
    let late = ask(&["list", "--max-lag", "0"]);
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(late.out.contains("counts") && late.out.contains("see it"), "{}", late.out);
    let waited = ask(&["wait", "counts", &refused.to_string(), "--timeout", "0.05"]);
    assert_eq!(waited.code, Some(1), "{waited:?}");
    projector.catch_up().await.unwrap();
    let waited = ask(&["wait", "counts", &refused.to_string()]);
    assert_eq!(waited.code, Some(1), "{waited:?}");
    assert!(waited.err.contains("it says no"), "{waited:?}");
    let parked = ask(&["parked", "counts", "--format", "json"]);
    assert_eq!(parked.code, Some(1), "something is parked");
    let event = parked.json().remove(0);
    assert_eq!((&event["stream"], &event["reason"]), (&"order-7".into(), &"it says no".into()));
    assert!(ask(&["parked", "counts"]).out.contains("it says no"));
    assert_eq!(ask(&["parked", "counts", "--after", &refused.to_string()]).code, Some(0));

    assert_eq!(ask(&["abandon", "counts"]).code, Some(1), "no rebuild is made");
    drop(projector);
    assert_eq!(ask(&["remove", "counts"]).code, Some(0));
    assert_eq!(ask(&["remove", "counts"]).code, Some(1), "it is not there any more");
    assert!(ask(&["list", "--format", "json"]).json().is_empty());
}
