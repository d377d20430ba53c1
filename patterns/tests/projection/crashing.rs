//! Crashes at every await: another projector goes on, and every event is applied once and in order.

use anybroker_patterns::event_store::NewEvent;
use anybroker_patterns::projection::ProjectorOptions;

use crate::model::{Base, Shop, Totals};
use crate::support::crash::{Crash, caught};
use crate::support::on_both;

on_both!(a_projector_crashes_anywhere, partitions_crash_anywhere, a_liar_is_caught);

/// Three events, of which one is refused and one follows it, and a few that are good.
async fn write<D: Base>(shop: &Shop<D>, totals: &Totals, round: usize) {
    shop.append("a", &[1, 2]).await;
    let bad = format!("bad-{round}");
    totals.refuse(&bad, 2);
    shop.append(&bad, &[1, 2, 3]).await;
    shop.append("b", &[3]).await;
}

/// Everything but what is parked, and that is parked once.
async fn check<D: Base>(shop: &Shop<D>, rounds: usize) {
    let mut expected = shop.fold(1).await;
    for (stream, entry) in &mut expected {
        if stream.starts_with("bad-") {
            *entry = (1, "1".into());
        }
    }
    assert_eq!(shop.model().await, expected);
    let parked = shop.parked().await;
    let parked: Vec<_> = parked.iter().map(|event| (event.version, event.reason.as_deref())).collect();
    assert_eq!(parked, [(2, Some("refused")), (3, None)].repeat(rounds));
}

async fn a_projector_crashes_anywhere<D: Base>(database: D) {
    crash(database, ProjectorOptions { batch: 4, partitions: 1 }).await;
}

async fn partitions_crash_anywhere<D: Base>(database: D) {
    crash(database, ProjectorOptions { batch: 50, partitions: 2 }).await;
}

async fn crash<D: Base>(database: D, options: ProjectorOptions) {
    let shop = Shop::of(database).await;
    let totals = Totals::default();
    let mut rounds = 0;
    write(&shop, &totals, rounds).await;
    for crash in Crash::BOTH {
        let projector = shop.projector_with(&totals, options).await;
        let attempt = || {
            let projector = projector.clone();
            async move { projector.catch_up().await.unwrap() }
        };
        let crashed = crash
            .at_every_await(attempt, async |_| {
                shop.projector_with(&totals, options).await.catch_up().await.unwrap();
                rounds += 1;
                check(&shop, rounds).await;
                write(&shop, &totals, rounds).await;
            })
            .await;
        eprintln!("{crash:?}: {crashed} awaits");
        assert!(crashed > 10, "it has more awaits than {crashed}");
    }
}

/// As it is often written: the events in one transaction, the checkpoint in another.
async fn naive<D: Base>(shop: &Shop<D>) {
    let after: Vec<(i64,)> = shop.rows("select coalesce(max(position), 0) from {schema}naive").await;
    let sql = format!(
        "select position, stream, version from {{schema}}anybroker_events where position > {} order by position",
        after[0].0
    );
    let events: Vec<(i64, String, i64)> = shop.rows(&sql).await;
    let mut transaction = shop.store.begin().await.unwrap();
    for (_, stream, version) in &events {
        let apply = format!(
            "insert into {{schema}}totals as t (stream, total, versions) values ('{stream}', 1, '{version}') \
             on conflict (stream) do update set total = t.total + 1, versions = t.versions || ',' || excluded.versions"
        );
        shop.execute_in(&mut transaction, &apply).await;
    }
    transaction.commit().await.unwrap();
    if let Some((last, _, _)) = events.last() {
        shop.execute(&format!("update {{schema}}naive set position = {last}")).await;
    }
}

async fn a_liar_is_caught<D: Base>(database: D) {
    let shop = Shop::of(database).await;
    shop.execute("create table {schema}naive (position bigint)").await;
    shop.execute("insert into {schema}naive values (0)").await;
    shop.execute("create table {schema}totals (stream text primary key, total bigint, versions text)").await;
    shop.append_all("a", &[NewEvent::new("added", 1, "1"), NewEvent::new("added", 1, "1")]).await;
    let attempt = || {
        let shop = shop.clone();
        async move { naive(&shop).await }
    };
    caught(async || {
        let mut wrong = 0;
        let after = async |_| {
            naive(&shop).await;
            wrong += usize::from(shop.model().await != shop.fold(1).await);
            shop.append("a", &[1, 1]).await;
        };
        Crash::Answered.at_every_await(attempt, after).await;
        wrong > 0
    })
    .await;
}
