//! Catching up, going on live, side by side, and stopping.

use std::time::Instant;

use anybroker_core::Kind;
use anybroker_patterns::event_store::{Filter, NewEvent};
use anybroker_patterns::projection::ProjectorOptions;
use anybroker_patterns::schema::Upcasters;
use serde_json::json;

use crate::model::{Base, Running, Shop, Totals};
use crate::support::on_both;

on_both!(
    it_catches_up_and_goes_on_live,
    new_events_wake_it_at_once,
    what_it_does_not_want_moves_it_on,
    upcasters_come_first,
    two_processes_apply_each_event_once,
    partitions_keep_each_stream_in_order,
    another_number_of_partitions_is_refused,
    it_ends_when_it_is_stopped,
);

async fn it_catches_up_and_goes_on_live<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    shop.append("a", &[1, 2, 3]).await;
    let projector =
        shop.projector_with(&Totals::default(), ProjectorOptions { batch: 2, partitions: 1 }).await;
    let running = Running::start(&projector);
    shop.append("b", &[10]).await;
    let last = shop.append("a", &[4]).await;
    shop.reaches(last).await;
    assert_eq!(shop.model().await, shop.fold(1).await);
    assert_eq!(shop.model().await["a"], (10, "1,2,3,4".into()));
    running.stop().await;
    assert_eq!((projector.progress().applied(), projector.progress().failures()), (5, 0));
}

/// Far sooner than by polling, where the database can tell.
async fn new_events_wake_it_at_once<D: Base>(database: D) {
    let mut shop = Shop::of(database).await;
    if std::any::type_name::<D>().contains("Postgres") {
        shop.store = shop.store.polling(crate::support::LONG);
    }
    let running = Running::start(&shop.projector(&Totals::default()).await);
    let first = shop.append("a", &[1]).await;
    shop.reaches(first).await;
    let begun = Instant::now();
    for number in 0..10 {
        let position = shop.append("a", &[number]).await;
        shop.reaches(position).await;
    }
    assert!(begun.elapsed() < crate::support::LONG / 2);
    running.stop().await;
}

async fn what_it_does_not_want_moves_it_on<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    let totals = Totals { filter: Filter::all().in_streams("a"), ..Totals::default() };
    let running = Running::start(&shop.projector(&totals).await);
    shop.append("a1", &[1]).await;
    let last = shop.append("b1", &[2]).await;
    shop.reaches(last).await;
    assert_eq!(shop.model().await.into_keys().collect::<Vec<_>>(), ["a1"]);
    running.stop().await;
}

async fn upcasters_come_first<D: Base>(database: D) {
    let mut shop = Shop::of(database).await;
    shop.append_all("a", &[NewEvent::new("added", 1, r#"{"n":7}"#), NewEvent::new("added", 2, "8")]).await;
    let upcasters = Upcasters::new().step("added", 1, 2, |old| Ok(json!(old["n"]))).unwrap();
    shop.store = shop.store.with_upcasters(upcasters);
    shop.projector(&Totals::default()).await.catch_up().await.unwrap();
    assert_eq!(shop.model().await["a"], (15, "1,2".into()));
}

/// And if one is killed, the other goes on.
async fn two_processes_apply_each_event_once<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    let options = ProjectorOptions { batch: 3, partitions: 1 };
    let (one, two) = (
        shop.projector_with(&Totals::default(), options).await,
        shop.projector_with(&Totals::default(), options).await,
    );
    let (first, second) = (Running::start(&one), Running::start(&two));
    for round in 0..40 {
        shop.append(&format!("s{}", round % 3), &[1, 2]).await;
    }
    first.kill().await;
    let mut last = 0;
    for round in 0..40 {
        last = shop.append(&format!("s{}", round % 3), &[1, 2]).await;
    }
    shop.reaches(last).await;
    assert_eq!(shop.model().await, shop.fold(1).await);
    second.stop().await;
    assert_eq!(one.progress().failures() + two.progress().failures(), 0);
}

async fn partitions_keep_each_stream_in_order<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    for round in 0..5 {
        for stream in 0..20 {
            shop.append(&format!("s{stream}"), &[round, 1]).await;
        }
    }
    let options = ProjectorOptions { batch: 7, partitions: 4 };
    let projector = shop.projector_with(&Totals::default(), options).await;
    let running = Running::start(&projector);
    let last = shop.append("s0", &[5]).await;
    shop.reaches(last).await;
    running.stop().await;
    assert_eq!(shop.model().await, shop.fold(1).await);
    assert_eq!((shop.status().await.partitions.len(), projector.progress().applied()), (4, 201));
}

async fn another_number_of_partitions_is_refused<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    shop.append("a", &[1]).await;
    shop.projector(&Totals::default()).await.catch_up().await.unwrap();
    let four = ProjectorOptions { partitions: 4, ..ProjectorOptions::default() };
    let projector = shop.projector_with(&Totals::default(), four).await;
    let error = projector.catch_up().await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    let error = error.to_string();
    assert!(error.contains("has 1 partitions, not 4") && error.contains("rebuild()"), "{error}");
    assert!(projector.rebuild(std::future::pending()).await.unwrap());
    projector.catch_up().await.unwrap();
    assert_eq!(shop.status().await.partitions.len(), 4);
}

async fn it_ends_when_it_is_stopped<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    let projector = shop.projector(&Totals::default()).await;
    let running = Running::start(&projector);
    let last = shop.append("a", &[1]).await;
    shop.reaches(last).await;
    running.stop().await;
    let after = shop.append("a", &[2]).await;
    tokio::time::sleep(crate::model::SHORT).await;
    assert_eq!(shop.model().await["a"], (1, "1".into()));
    projector.catch_up().await.unwrap();
    shop.reaches(after).await;
    assert_eq!(shop.model().await["a"], (3, "1,2".into()));
}
