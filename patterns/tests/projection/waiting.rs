//! Reading what one has written, status, and what is wrong in the tables.

use std::time::Duration;

use anybroker_core::Kind;
use anybroker_patterns::projection::{Projections, Projector, WaitError};

use crate::model::{Base, Running, SHORT, Shop, Totals};
use crate::support::on_both;

on_both!(
    it_waits_for_a_position,
    what_does_not_come_is_told,
    lag_is_told,
    missing_and_changed_tables_are_told,
    a_checkpoint_ahead_of_the_events_is_refused,
    names_that_cannot_be_are_refused,
);

async fn it_waits_for_a_position<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    let projector = shop.projector(&Totals::default()).await;
    projector.catch_up().await.unwrap();
    let position = shop.append("a", &[1]).await;
    let waiting = {
        let projections = shop.projections.clone();
        tokio::spawn(async move { projections.wait_for("totals", position, crate::support::LONG).await })
    };
    let running = Running::start(&projector);
    waiting.await.unwrap().unwrap();
    assert_eq!(shop.model().await["a"].0, 1);
    running.stop().await;
}

async fn what_does_not_come_is_told<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    let wait = async |position| shop.projections.wait_for("totals", position, SHORT).await.unwrap_err();
    assert!(matches!(wait(1).await, WaitError::NotFound { .. }));
    let totals = Totals::default();
    totals.refuse("a", 1);
    let parked = shop.append("a", &[1]).await;
    shop.projector(&totals).await.catch_up().await.unwrap();
    let WaitError::Parked { reason, .. } = wait(parked).await else { panic!("it is parked") };
    assert_eq!(reason, "refused");
    let later = shop.append("b", &[1]).await;
    let error = wait(later).await;
    assert!(matches!(error, WaitError::TimedOut { reached, .. } if reached == parked), "{error}");
}

async fn lag_is_told<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    let projector = shop.projector(&Totals::default()).await;
    shop.append("a", &[1]).await;
    projector.catch_up().await.unwrap();
    let status = shop.status().await;
    assert_eq!((status.lag(), status.age(), status.percent()), (0, None, 100.0));
    let last = shop.append("a", &[2, 3, 4]).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let status = shop.status().await;
    assert_eq!((status.lag(), status.newest), (3, last));
    assert!(status.age().unwrap() >= Duration::from_millis(5), "{status:?}");
}

async fn missing_and_changed_tables_are_told<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    let open = async || Projections::open(shop.database().clone()).await.map(drop);
    open().await.unwrap();
    shop.execute("alter table {schema}anybroker_projection_parked rename column reason to why").await;
    let error = open().await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    assert!(error.to_string().contains("has no column reason"), "{error}");
    shop.execute("drop table {schema}anybroker_projection_parked").await;
    let error = open().await.unwrap_err().to_string();
    assert!(error.contains("anybroker_projection_parked does not exist"), "{error}");
    shop.execute("delete from {schema}anybroker_migrations where component = 'projections'").await;
    let error = open().await.unwrap_err().to_string();
    assert!(error.contains("projections are at version 0") && error.contains("migrate"), "{error}");
}

async fn a_checkpoint_ahead_of_the_events_is_refused<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    shop.append("a", &[1, 2, 3]).await;
    let projector = shop.projector(&Totals::default()).await;
    projector.catch_up().await.unwrap();
    shop.execute("delete from {schema}anybroker_events where version = 3").await;
    let running = tokio::time::timeout(crate::support::LONG / 6, projector.run(std::future::pending())).await;
    let error = running.unwrap_or_else(|_| panic!("{:?}", projector.progress())).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    let error = error.to_string();
    assert!(error.contains("its checkpoint is at position 3, but the newest event is at 2"), "{error}");
    assert_eq!(shop.model().await["a"], (6, "1,2,3".into()), "nothing was changed");
    assert!(projector.rebuild(std::future::pending()).await.unwrap());
    assert_eq!(shop.model().await["a"], (3, "1,2".into()));
}

async fn names_that_cannot_be_are_refused<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    let totals = Totals { table: "totals; drop", ..Totals::default() };
    let error = Projector::open(shop.store.clone(), totals, Default::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    shop.execute("create table {schema}taken (a bigint)").await;
    let totals = Totals { table: "taken", ..Totals::default() };
    let error = shop.projector(&totals).await.catch_up().await.unwrap_err().to_string();
    assert!(error.contains("taken"), "{error}");
}
