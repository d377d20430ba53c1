//! The inbox on both databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, and so do their helpers"
)]

mod crash;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "not every test uses all of the helpers")]
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anybroker_core::{
    Consumer, ConsumerExt, Delivery, Group, Kind, MessageId, PublisherExt, PublisherOptions, Start,
    Subscription,
};
use anybroker_patterns::database::{Postgres, Sqlite};
use anybroker_patterns::inbox::{Inbox, Store};
use anybroker_worker::{Begin, IdempotencyStore};

use support::{Database, broker, numbered, on_both, topic};

/// What the tests need of a database with both tables.
trait Both:
    Database + Store<Connection = <Self as anybroker_patterns::outbox::Store>::Connection> + IdempotencyStore
{
}
impl Both for Postgres {}
impl Both for Sqlite {}

on_both!(
    a_message_takes_effect_once,
    an_effect_that_fails_may_be_tried_again,
    of_two_at_once_one_takes_effect,
    old_notes_are_forgotten,
    the_layer_claims_completes_and_gives_up,
    a_missing_table_is_refused,
);

fn inbox<D: Both>(database: &D) -> Inbox<D> {
    Inbox::new(database.clone(), Group::new("billing").unwrap())
}

/// Deliveries of two messages, the first of them twice.
async fn deliveries() -> (Box<dyn Consumer>, Vec<Delivery>) {
    let broker = broker("").await;
    let publisher = broker.publisher(PublisherOptions::new(topic())).await.unwrap();
    for number in [0, 0, 1] {
        publisher.publish(numbered("k", number).with_id(format!("m{number}"))).await.unwrap();
    }
    let subscription = Subscription::new(topic(), Group::new("g").unwrap()).start(Start::Earliest);
    let mut consumer = broker.consumer(subscription).await.unwrap();
    let mut deliveries = Vec::new();
    while deliveries.len() < 3 {
        deliveries.push(consumer.next().await.unwrap());
    }
    (consumer, deliveries)
}

async fn a_message_takes_effect_once<D: Both>(database: D) {
    let (_consumer, deliveries) = deliveries().await;
    let mut effects = Vec::new();
    for delivery in &deliveries {
        let mut transaction = database.transaction().await;
        let effect = async |_: &mut _| Ok::<_, anybroker_core::Error>(delivery.payload().clone());
        let done = inbox(&database).once(D::connection(&mut transaction), delivery, effect).await.unwrap();
        D::commit(transaction).await;
        effects.push(done);
    }
    assert_eq!(effects, [Some("0".into()), None, Some("1".into())]);
}

async fn an_effect_that_fails_may_be_tried_again<D: Both>(database: D) {
    let (_consumer, deliveries) = deliveries().await;
    let mut transaction = database.transaction().await;
    let fails = async |_: &mut _| Err::<(), _>(anybroker_core::Error::new(Kind::Unexpected, "bill", "no"));
    let error =
        inbox(&database).once(D::connection(&mut transaction), &deliveries[0], fails).await.unwrap_err();
    assert_eq!(error.operation(), "bill");
    D::rollback(transaction).await;
    let mut transaction = database.transaction().await;
    let works = async |_: &mut _| Ok::<_, anybroker_core::Error>(());
    let done = inbox(&database).once(D::connection(&mut transaction), &deliveries[1], works).await.unwrap();
    assert_eq!(done, Some(()));
    D::commit(transaction).await;
}

async fn of_two_at_once_one_takes_effect<D: Both>(database: D) {
    let effects = AtomicUsize::new(0);
    for round in 0..20 {
        let id = MessageId::from(format!("m{round}"));
        let attempt = || async {
            let mut transaction = database.transaction().await;
            if inbox(&database).first(D::connection(&mut transaction), &id).await.unwrap() {
                effects.fetch_add(1, Ordering::Relaxed);
            }
            D::commit(transaction).await;
        };
        tokio::join!(attempt(), attempt(), attempt());
    }
    assert_eq!(effects.into_inner(), 20);
}

async fn old_notes_are_forgotten<D: Both>(database: D) {
    let mut transaction = database.transaction().await;
    for id in ["a", "b"] {
        assert!(inbox(&database).first(D::connection(&mut transaction), &id.into()).await.unwrap());
    }
    D::commit(transaction).await;
    assert_eq!(inbox(&database).forget(Duration::from_secs(3600)).await.unwrap(), 0);
    support::until(|| async { inbox(&database).forget(Duration::ZERO).await.unwrap() == 2 }).await;
    let mut transaction = database.transaction().await;
    assert!(inbox(&database).first(D::connection(&mut transaction), &"a".into()).await.unwrap());
    D::commit(transaction).await;
}

async fn the_layer_claims_completes_and_gives_up<D: Both>(database: D) {
    let (group, id, long) = (Group::new("billing").unwrap(), MessageId::from("a"), Duration::from_secs(600));
    assert_eq!(claim(&database, &group, &id, long).await, Begin::Claimed);
    match claim(&database, &group, &id, long).await {
        Begin::InWork(left) => assert!(left > long / 2 && left <= long),
        other => panic!("{other:?}"),
    }
    database.abandon(&group, &id).await.unwrap();
    assert_eq!(claim(&database, &group, &id, Duration::ZERO).await, Begin::Claimed);
    support::until(|| async { claim(&database, &group, &id, long).await == Begin::Claimed }).await;
    database.complete(&group, &id).await.unwrap();
    assert_eq!(claim(&database, &group, &id, long).await, Begin::Done);
    // What is only claimed elsewhere takes effect in the transaction that notes it.
    let other = MessageId::from("b");
    assert_eq!(claim(&database, &group, &other, long).await, Begin::Claimed);
    let mut transaction = database.transaction().await;
    assert!(inbox(&database).first(D::connection(&mut transaction), &other).await.unwrap());
    D::commit(transaction).await;
    assert_eq!(claim(&database, &group, &other, long).await, Begin::Done);
}

async fn claim<D: Both>(database: &D, group: &Group, id: &MessageId, lease: Duration) -> Begin {
    database.begin(group, id, lease).await.unwrap()
}

async fn a_missing_table_is_refused<D: Both>(database: D) {
    database.run("drop table {inbox}").await;
    assert_eq!(inbox(&database).check().await.unwrap_err().kind(), Kind::InvalidConfiguration);
}
