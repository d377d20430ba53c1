//! Tables that are missing or were changed by hand: a clear error, and nothing is lost.

use anybroker_core::Kind;
use anybroker_patterns::database::Sqlite;
use anybroker_patterns::event_store::{At, EventStore};

use crate::support::{Raw, follow, names, on_both, postgres, put, schema};

on_both!(a_changed_table_is_told, an_undecodable_row_is_named);

#[tokio::test]
async fn missing_tables_are_told_before_anything_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let database = Sqlite::open(directory.path().join("events.db")).await.unwrap();
    let error = EventStore::open(database).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    assert!(error.to_string().contains("event store") && error.to_string().contains("migrate"), "{error}");
    schema(|database| async move {
        let error = EventStore::open(database).await.unwrap_err();
        assert!(error.to_string().contains("migrate"), "{error}");
    })
    .await;
}

async fn a_changed_table_is_told<D: Raw>(store: EventStore<D>) {
    let open = async || EventStore::open(store.database().clone()).await.map(drop);
    open().await.unwrap();
    store.database().raw("drop table anybroker_event_snapshots").await.unwrap();
    let error = open().await.unwrap_err().to_string();
    assert!(error.contains("anybroker_event_snapshots does not exist"), "{error}");
    // Not renamed back: another connection to SQLite may not have heard of the first name's end.
    let rename = "alter table anybroker_events rename column actor to author";
    store.database().raw(rename).await.unwrap();
    let error = open().await.unwrap_err().to_string();
    assert!(error.contains("anybroker_events") && error.contains("actor"), "{error}");
}

#[tokio::test]
async fn positions_that_are_drawn_in_advance_are_refused() {
    postgres(|store| async move {
        let cache = "alter table anybroker_events alter column position set cache 20";
        store.database().raw(cache).await.unwrap();
        let error = EventStore::open(store.database().clone()).await.unwrap_err().to_string();
        assert!(error.contains("one by one") && error.contains("cache 1"), "{error}");
    })
    .await;
}

/// Every reader gives what is before the row, names the row, and goes on when it is restored.
async fn an_undecodable_row_is_named<D: Raw>(store: EventStore<D>) {
    put(&store, "s", &["a", "b", "c"]).await;
    let set = async |value: &str| {
        let sql = format!("update anybroker_events set headers = {value} where version = 2");
        store.database().raw(&sql).await.unwrap();
    };
    set("'{broken'").await;
    let mut subscription = store.subscribe(0);
    assert_eq!(names(&follow(&mut subscription, 1).await), ["a"]);
    let errors = [
        subscription.next_batch().await.unwrap_err(),
        subscription.next_batch().await.unwrap_err(),
        store.read("s", 1, 10).await.unwrap_err(),
        store.fold("s", 1, At::Latest, (), |_, _| Ok(())).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), Kind::Decode);
        let error = error.to_string();
        assert!(error.contains("event 2 of stream `s`") && error.contains("restore the row"), "{error}");
    }
    set("null").await;
    assert_eq!(names(&follow(&mut subscription, 2).await), ["b", "c"]);
    assert_eq!(store.read("s", 1, 10).await.unwrap().events.len(), 3);
    store.database().raw("delete from anybroker_events where version = 2").await.unwrap();
    let error = store.fold("s", 1, At::Latest, (), |_, _| Ok(())).await.unwrap_err().to_string();
    assert!(error.contains("event 2 of stream `s` is missing"), "{error}");
}

/// A role of its own, which may use the tables and nothing else.
#[tokio::test]
async fn rights_to_the_tables_are_enough_and_rows_must_not_be_hidden() {
    schema(|database| async move {
        database.migrate().await.unwrap();
        let role = format!("role_{}", uuid::Uuid::now_v7().simple());
        let grant = format!(
            "create role {role}; grant {role} to current_user; \
             do $$ begin execute format('grant usage on schema %I to {role}', current_schema()); \
             execute format('grant select, insert, update on all tables in schema %I to {role}', current_schema()); end $$"
        );
        database.raw(&grant).await.unwrap();
        let options = (*database.pool().connect_options()).clone().options([("role", &role)]);
        let pool = sqlx::postgres::PgPoolOptions::new().connect_with(options).await.unwrap();
        let limited = anybroker_patterns::database::Postgres::new(pool);
        let store = EventStore::open(limited.clone()).await.unwrap();
        put(&store, "s", &["a"]).await;
        put(&store, "s", &["b"; 300]).await;
        let hide = "alter table anybroker_events enable row level security";
        database.raw(hide).await.unwrap();
        let error = EventStore::open(limited.clone()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{error}");
        assert!(EventStore::open(database.clone()).await.is_ok(), "the owner sees all");
        limited.pool().close().await;
        database.raw(&format!("drop owned by {role}; drop role {role}")).await.unwrap();
    })
    .await;
}
