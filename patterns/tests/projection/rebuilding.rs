//! A new generation beside the live one, and then in its place.

use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anybroker_core::Kind;
use anybroker_patterns::projection::{ProjectorOptions, Status};

use crate::model::{Base, Running, Shop, Totals};
use crate::support::crash::{Awaits, Crash};
use crate::support::on_both;

on_both!(
    a_new_version_is_rebuilt_explicitly,
    a_projector_of_the_same_code_goes_on_with_it,
    one_that_was_killed_goes_on_where_it_was,
    it_crashes_anywhere,
    readers_see_all_of_the_old_or_all_of_the_new,
    other_columns_and_other_tables,
    one_of_other_code_is_not_gone_on_with,
    parked_events_are_found_by_it_too,
    the_first_build_may_be_a_rebuild,
);

/// Ten times the numbers.
fn second() -> Totals {
    Totals { version: 2, factor: 10, ..Totals::default() }
}

async fn live<D: Base>(shop: &Shop<D>) {
    for round in 0..5 {
        shop.append("a", &[1, round]).await;
    }
    shop.projector(&Totals::default()).await.catch_up().await.unwrap();
}

async fn a_new_version_is_rebuilt_explicitly<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    live(&shop).await;
    let projector = shop.projector(&second()).await;
    let error = projector.run(pending()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    let error = error.to_string();
    assert!(error.contains("is of version 1, and this program's is 2; call rebuild()"), "{error}");
    assert_eq!(shop.model().await, shop.fold(1).await, "nothing was mixed");
    let old = Running::start(&shop.projector(&Totals::default()).await);
    assert!(projector.rebuild(pending()).await.unwrap());
    assert_eq!(shop.model().await, shop.fold(10).await);
    let status = shop.status().await;
    assert_eq!((status.generation, status.version, status.live, status.percent()), (2, 2, true, 100.0));
    shop.append("a", &[1]).await;
    let ended = tokio::time::timeout(crate::support::LONG, old.task).await.unwrap().unwrap().unwrap_err();
    assert!(ended.to_string().contains("update this program"), "{ended}");
    projector.catch_up().await.unwrap();
    assert_eq!(shop.model().await, shop.fold(10).await);
    assert!(shop.try_rows::<(i64,)>("select total from {schema}totals_g1").await.is_err(), "it is dropped");
}

async fn a_projector_of_the_same_code_goes_on_with_it<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    live(&shop).await;
    let running = Running::start(&shop.projector(&Totals::default()).await);
    for round in 0..3 {
        assert!(shop.projector(&Totals::default()).await.rebuild(pending()).await.unwrap());
        let last = shop.append("a", &[round]).await;
        shop.reaches(last).await;
        assert_eq!(shop.model().await, shop.fold(1).await);
    }
    assert_eq!(shop.status().await.generation, 4);
    running.stop().await;
}

async fn building<D: Base>(shop: &Shop<D>) -> Option<Status> {
    shop.projections.status().await.unwrap().into_iter().find(|status| !status.live)
}

async fn one_that_was_killed_goes_on_where_it_was<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    live(&shop).await;
    let options = ProjectorOptions { batch: 2, partitions: 1 };
    assert!(!shop.projector_with(&second(), options).await.rebuild(ready(())).await.unwrap(), "stopped");
    let status = loop {
        let projector = shop.projector_with(&second(), options).await;
        // Enough for a batch or two.
        assert!(Crash::Answered.at(14, projector.rebuild(pending())).await.is_none(), "it is done already");
        match building(&shop).await {
            Some(status) if status.position() > 0 => break status,
            _ => {}
        }
    };
    assert!(status.percent() > 0.0 && status.percent() < 100.0, "{status:?}");
    assert!(status.lag() > 0 && status.age().is_some(), "{status:?}");
    assert_eq!(shop.model().await, shop.fold(1).await, "readers see the old one");
    let projector = shop.projector_with(&second(), options).await;
    assert!(projector.rebuild(pending()).await.unwrap());
    assert!(projector.progress().applied() < 10, "what was done is not done again");
    assert_eq!(shop.model().await, shop.fold(10).await);
}

async fn it_crashes_anywhere<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    live(&shop).await;
    let mut factor = 1;
    let mut version = 1;
    for crash in Crash::BOTH {
        let mut awaits = Awaits::default();
        loop {
            let at = awaits.at();
            let next = Totals { version: version + 1, factor: i64::from(version) + 1, ..Totals::default() };
            let projector = shop.projector(&next).await;
            let ended = crash.at(at, projector.rebuild(pending())).await.is_some();
            let model = shop.model().await;
            let (old, new) = (shop.fold(factor).await, shop.fold(next.factor).await);
            assert!(model == old || model == new, "{crash:?} {at}: {model:?}");
            assert!(shop.projector(&next).await.rebuild(pending()).await.unwrap());
            assert_eq!(shop.model().await, new, "{crash:?} {at}");
            (version, factor) = (next.version, next.factor);
            assert!(building(&shop).await.is_none() || ended || model == new, "{crash:?} {at}");
            if !awaits.go_on(ended) {
                break;
            }
        }
        let crashed = awaits.crashed();
        eprintln!("{crash:?}: {crashed} awaits");
        assert!(crashed >= 10, "it has more awaits than {crashed}");
    }
}

async fn readers_see_all_of_the_old_or_all_of_the_new<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    for stream in 0..30 {
        shop.append(&format!("s{stream}"), &[1]).await;
    }
    let running = Running::start(&shop.projector(&Totals::default()).await);
    let last = shop.append("s0", &[1]).await;
    shop.reaches(last).await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (shop, done) = (shop.clone(), done.clone());
        tokio::spawn(async move {
            let mut last = (30, 31);
            while !done.load(Ordering::Relaxed) {
                let sql = "select count(*), cast(sum(total) as bigint) from {schema}totals";
                let now = shop.try_rows::<(i64, Option<i64>)>(sql).await.expect("a reader never fails")[0];
                let now = (now.0, now.1.expect("it is never empty"));
                assert!(now.0 == 30 && now.1 >= last.1, "{now:?} after {last:?}");
                last = now;
            }
            last
        })
    };
    for _ in 0..5 {
        let rebuilding = shop.projector(&Totals::default()).await;
        let (rebuilt, ()) = tokio::join!(rebuilding.rebuild(pending()), async {
            for stream in 0..10 {
                shop.append(&format!("s{stream}"), &[1]).await;
            }
        });
        assert!(rebuilt.unwrap());
    }
    let last = shop.append("s0", &[1]).await;
    shop.reaches(last).await;
    done.store(true, Ordering::Relaxed);
    reader.await.unwrap();
    assert_eq!(shop.model().await, shop.fold(1).await);
    running.stop().await;
}

async fn other_columns_and_other_tables<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    live(&shop).await;
    let wide = Totals { version: 2, extra: true, ..Totals::default() };
    assert!(shop.projector(&wide).await.rebuild(pending()).await.unwrap());
    assert_eq!(shop.model().await, shop.fold(1).await);
    shop.rows::<(Option<i64>,)>("select extra from {schema}totals").await;
    let unraised = Totals { table: "sums", ..wide.clone() };
    let error = shop.projector(&unraised).await.catch_up().await.unwrap_err().to_string();
    assert!(error.contains("has the tables totals, and this program's are sums"), "{error}");
    let renamed = Totals { version: 3, ..unraised };
    assert!(shop.projector(&renamed).await.rebuild(pending()).await.unwrap());
    let sums: Vec<(i64,)> = shop.rows("select total from {schema}sums").await;
    assert_eq!(sums, [(15,)]);
    assert!(shop.try_rows::<(i64,)>("select total from {schema}totals").await.is_err(), "the view is gone");
}

async fn one_of_other_code_is_not_gone_on_with<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    live(&shop).await;
    assert!(!shop.projector(&second()).await.rebuild(ready(())).await.unwrap());
    // Stopped at once, it may not have begun.
    while building(&shop).await.is_none() {
        let projector = shop.projector(&second()).await;
        assert!(Crash::Answered.at(12, projector.rebuild(pending())).await.is_none());
    }
    let third = shop.projector(&Totals { version: 3, ..second() }).await;
    let error = third.rebuild(pending()).await.unwrap_err().to_string();
    assert!(
        error.contains("generation in building 2 is of version 2") && error.contains("abandon"),
        "{error}"
    );
    assert!(shop.projections.abandon("totals").await.unwrap());
    assert!(!shop.projections.abandon("totals").await.unwrap(), "there is none any more");
    assert!(third.rebuild(pending()).await.unwrap());
    assert_eq!(shop.status().await.version, 3);
    assert!(shop.projections.remove("totals").await.unwrap());
    assert!(shop.projections.status().await.unwrap().is_empty());
    assert!(shop.try_rows::<(i64,)>("select total from {schema}totals").await.is_err());
}

async fn parked_events_are_found_by_it_too<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    let totals = Totals::default();
    totals.refuse("a", 3);
    shop.append("a", &[1, 2, 3, 4]).await;
    shop.projector(&totals).await.catch_up().await.unwrap();
    let old = shop.parked().await;
    assert!(shop.projector(&totals).await.rebuild(pending()).await.unwrap());
    let new = shop.parked().await;
    assert_eq!((old.len(), new.len(), new[0].generation), (2, 2, 2));
    let mended = Totals { version: 2, ..Totals::default() };
    assert!(shop.projector(&mended).await.rebuild(pending()).await.unwrap());
    assert!(shop.parked().await.is_empty(), "code that can apply them does");
    assert_eq!(shop.model().await, shop.fold(1).await);
}

async fn the_first_build_may_be_a_rebuild<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    shop.append("a", &[1]).await;
    assert!(shop.projector(&Totals::default()).await.rebuild(pending()).await.unwrap());
    assert_eq!(shop.model().await, shop.fold(1).await);
    assert_eq!(shop.status().await.generation, 1);
}
