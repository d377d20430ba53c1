//! Events that cannot be applied: parked with what follows them in their stream, retried, discarded.

use anybroker_patterns::event_store::NewEvent;
use anybroker_patterns::projection::Retried;
use anybroker_patterns::schema::Upcasters;

use crate::model::{Base, Running, SHORT, Shop, Totals};
use crate::support::{on_both, until};

on_both!(
    a_refused_event_parks_with_its_stream,
    it_is_retried,
    it_is_discarded,
    what_does_not_decode_parks,
    what_no_upcaster_reads_parks,
    a_panic_parks,
    what_the_database_may_get_over_is_waited_for,
);

/// The stream `bad` has a refused event in the middle.
async fn parked<D: Base>(shop: &Shop<D>, totals: &Totals) -> Vec<u64> {
    totals.refuse("bad", 2);
    shop.append("a", &[1]).await;
    shop.append("bad", &[1, 2, 3]).await;
    shop.append("b", &[1]).await;
    shop.projector(totals).await.catch_up().await.unwrap();
    shop.parked().await.iter().map(|event| event.position).collect()
}

async fn a_refused_event_parks_with_its_stream<D: Base>(database: D) {
    let (shop, totals) = (Shop::of(database).await, Totals::default());
    parked(&shop, &totals).await;
    shop.append("bad", &[4]).await;
    shop.append("a", &[2]).await;
    let projector = shop.projector(&totals).await;
    projector.catch_up().await.unwrap();
    let model = shop.model().await;
    assert_eq!((&model["a"].1[..], &model["bad"].1[..], &model["b"].1[..]), ("1,2", "1", "1"));
    let parked = shop.parked().await;
    let seen: Vec<_> = parked.iter().map(|it| (&it.stream[..], it.version, it.reason.as_deref())).collect();
    assert_eq!(seen, [("bad", 2, Some("refused")), ("bad", 3, None), ("bad", 4, None)]);
    assert_eq!((shop.status().await.parked, projector.progress().parked()), (3, 1));
}

async fn it_is_retried<D: Base>(database: D) {
    let (shop, totals) = (Shop::of(database).await, Totals::default());
    let positions = parked(&shop, &totals).await;
    let projector = shop.projector(&totals).await;
    let still = projector.retry(positions[1]).await.unwrap().unwrap();
    assert_eq!(still, Retried { applied: 0, reason: Some("refused".into()) });
    totals.accept_all();
    totals.refuse("bad", 3);
    let half = projector.retry(positions[0]).await.unwrap().unwrap();
    assert_eq!(half, Retried { applied: 1, reason: Some("refused".into()) });
    assert_eq!(shop.parked().await[0].reason.as_deref(), Some("refused"), "it is the one to blame now");
    totals.accept_all();
    let all = projector.retry(positions[1]).await.unwrap().unwrap();
    assert_eq!(all, Retried { applied: 1, reason: None });
    shop.append("bad", &[4]).await;
    projector.catch_up().await.unwrap();
    assert_eq!(shop.model().await, shop.fold(1).await);
    assert_eq!(projector.retry(positions[0]).await.unwrap(), None, "nothing is parked there any more");
}

async fn it_is_discarded<D: Base>(database: D) {
    let (shop, totals) = (Shop::of(database).await, Totals::default());
    let positions = parked(&shop, &totals).await;
    let projector = shop.projector(&totals).await;
    let rest = projector.discard(positions[0]).await.unwrap().unwrap();
    assert_eq!(rest, Retried { applied: 1, reason: None });
    assert_eq!(shop.model().await["bad"], (4, "1,3".into()));
    assert!(shop.parked().await.is_empty());
    assert_eq!(projector.discard(positions[0]).await.unwrap(), None);
}

async fn what_does_not_decode_parks<D: Base>(database: D) {
    let (shop, totals) = (Shop::of(database).await, Totals::default());
    shop.append("a", &[1, 2, 3]).await;
    shop.append("b", &[1]).await;
    shop.execute(
        "update {schema}anybroker_events set headers = '{broken' where stream = 'a' and version = 2",
    )
    .await;
    let projector = shop.projector(&totals).await;
    projector.catch_up().await.unwrap();
    let model = shop.model().await;
    assert_eq!((&model["a"].1[..], &model["b"].1[..]), ("1", "1"));
    let parked = shop.parked().await;
    let reason = parked[0].reason.as_deref().unwrap();
    assert!(parked.len() == 2 && reason.contains("event 2 of stream `a`"), "{parked:?}");
    shop.execute("update {schema}anybroker_events set headers = null").await;
    assert_eq!(projector.retry(parked[0].position).await.unwrap().unwrap().applied, 2);
    assert_eq!(shop.model().await, shop.fold(1).await);
}

async fn what_no_upcaster_reads_parks<D: Base>(database: D) {
    let mut shop = Shop::of(database).await;
    let events = [("added", 2), ("added", 1), ("added", 2)];
    let events = events.map(|(event_type, version)| NewEvent::new(event_type, version, "1"));
    shop.append_all("a", &events).await;
    shop.append_all("b", &events[..1]).await;
    let plain = shop.store.clone();
    shop.store = plain.clone().with_upcasters(Upcasters::new().current("added", 2));
    shop.projector(&Totals::default()).await.catch_up().await.unwrap();
    let parked = shop.parked().await;
    assert!(parked[0].reason.as_deref().unwrap().contains("older than any upcaster reads"), "{parked:?}");
    assert_eq!((parked.len(), shop.model().await.len()), (2, 2));
    let step = Upcasters::new().step("added", 1, 2, Ok).unwrap();
    shop.store = plain.with_upcasters(step);
    let retried = shop.projector(&Totals::default()).await.retry(parked[0].position).await.unwrap();
    assert_eq!(retried, Some(Retried { applied: 2, reason: None }));
    assert_eq!(shop.model().await, shop.fold(1).await);
}

async fn a_panic_parks<D: Base>(database: D) {
    let (shop, totals) = (Shop::of(database).await, Totals::default());
    shop.append_all("a", &[NewEvent::new("panic", 1, "1")]).await;
    shop.append("b", &[1]).await;
    shop.projector(&totals).await.catch_up().await.unwrap();
    let parked = shop.parked().await;
    assert_eq!(parked[0].reason.as_deref(), Some("the projection panicked: it was told to"));
    assert_eq!(shop.model().await.into_keys().collect::<Vec<_>>(), ["b"]);
}

/// A table that is away is not the events' fault: nothing is parked, and it goes on when the table is back.
async fn what_the_database_may_get_over_is_waited_for<D: Base>(database: D) {
    let (shop, totals) = (Shop::of(database).await, Totals::default());
    let projector = shop.projector(&totals).await;
    let running = Running::start(&projector);
    let first = shop.append("a", &[1]).await;
    shop.reaches(first).await;
    shop.execute("alter table {schema}totals_g1 rename to away").await;
    let last = shop.append("a", &[2]).await;
    until(async || projector.progress().failures() > 0).await;
    tokio::time::sleep(SHORT).await;
    let failure = projector.progress().last_failure().unwrap();
    assert!(failure.contains("totals_g1"), "{failure}");
    assert!(shop.parked().await.is_empty());
    shop.execute("alter table {schema}away rename to totals_g1").await;
    shop.reaches(last).await;
    assert_eq!(shop.model().await, shop.fold(1).await);
    running.stop().await;
}
