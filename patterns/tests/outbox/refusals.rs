//! Tables that are missing or changed are refused, and nothing is lost.

use anybroker_core::{Kind, Message};
use anybroker_patterns::outbox::{Relay, RelayOptions};

use crate::support::{Arrivals, Database, broker, numbered, on_both, outbox, relay};

on_both!(
    missing_tables_are_refused,
    a_changed_table_is_refused,
    a_newer_table_is_refused,
    a_message_that_breaks_a_rule_is_refused_at_once
);

async fn refusal<D: Database>(database: &D) -> anybroker_core::Error {
    Relay::open(database.clone(), broker("").await, RelayOptions::default()).await.unwrap_err()
}

async fn missing_tables_are_refused<D: Database>(database: D) {
    for table in ["{outbox}", "{quarantine}"] {
        database.run(&format!("drop table {table}")).await;
    }
    let error = refusal(&database).await;
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    assert!(error.to_string().contains("does not exist"), "{error}");
    let mut transaction = database.transaction().await;
    let error = outbox(&database).stage(D::connection(&mut transaction), numbered("k", 0)).await.unwrap_err();
    assert_eq!(error.operation(), "stage");
    D::rollback(transaction).await;
}

async fn a_changed_table_is_refused<D: Database>(database: D) {
    let mut transaction = database.transaction().await;
    outbox(&database).stage(D::connection(&mut transaction), numbered("k", 0)).await.unwrap();
    D::commit(transaction).await;
    database.run("alter table {outbox} rename column topic to subject").await;
    let error = refusal(&database).await;
    assert!(error.to_string().contains("no column topic"), "{error}");
    // Mended, nothing is lost. SQLite finds the column by what its connection knew before another one renamed it, unless that
    // connection has read since.
    database.run("select count(*) from {outbox}; alter table {outbox} rename column subject to topic").await;
    let broker = broker("").await;
    let relay = relay(&database, &broker).await;
    assert_eq!(Arrivals::of(&broker).await.payloads(1).await, ["0"]);
    relay.stop().await;
}

async fn a_newer_table_is_refused<D: Database>(database: D) {
    database.run("update {migrations} set version = 99").await;
    let error = refusal(&database).await;
    assert!(error.to_string().contains("newer than this program"), "{error}");
}

async fn a_message_that_breaks_a_rule_is_refused_at_once<D: Database>(database: D) {
    let mut transaction = database.transaction().await;
    let bad = Message::new("x").with_header("ce_id", "1");
    let error = outbox(&database).stage(D::connection(&mut transaction), bad).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    // The transaction is as it was.
    outbox(&database).stage(D::connection(&mut transaction), numbered("k", 0)).await.unwrap();
    D::commit(transaction).await;
}
