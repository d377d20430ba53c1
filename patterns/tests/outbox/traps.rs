//! The traps of an outbox on PostgreSQL: ours passes each, and a usual implementation falls into it. SQLite has none of
//! them: there is one writer at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use anybroker_patterns::database::Postgres;
use anybroker_patterns::outbox::{Batch, Limit, Store};

use crate::liars::{AfterTheHighest, AfterTheHighestOfTheSettled, ByTransaction, Reader, next_unlocked};
use crate::support::{Arrivals, Database, broker, numbered, outbox, postgres, relay};

type Transaction = sqlx::Transaction<'static, sqlx::Postgres>;

/// A transaction that has its number already.
async fn numbered_transaction(database: &Postgres) -> Transaction {
    let mut transaction = database.transaction().await;
    sqlx::query("select pg_current_xact_id()").execute(&mut *transaction).await.unwrap();
    transaction
}

async fn stage(database: &Postgres, transaction: &mut Transaction, key: &str, number: usize) {
    outbox(database).stage(transaction, numbered(key, number)).await.unwrap();
}

/// A lower id is committed later.
async fn a_lower_id_commits_later(database: &Postgres, mut seen: impl AsyncFnMut()) {
    let (mut first, mut second) = (database.transaction().await, database.transaction().await);
    stage(database, &mut first, "a", 1).await;
    stage(database, &mut second, "b", 2).await;
    second.commit().await.unwrap();
    seen().await;
    first.commit().await.unwrap();
    seen().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_is_lost_that_commits_after_a_higher_one() {
    postgres(async |database| {
        let mut liar = AfterTheHighest(database.clone(), 0);
        let mut found = Vec::new();
        a_lower_id_commits_later(&database, async || found.extend(liar.read().await)).await;
        assert_eq!(found, ["2"], "the usual way loses the other one");
        database.run("delete from {outbox}").await;

        let broker = broker("").await;
        let relay = relay(&database, &broker).await;
        let mut arrivals = Arrivals::of(&broker).await;
        let mut found = Vec::new();
        a_lower_id_commits_later(&database, async || found.extend(arrivals.payloads(1).await)).await;
        assert_eq!(found, ["2", "1"]);
        relay.stop().await;
    })
    .await;
}

/// What a reader finds that waits for all transactions of the server, also for those of other tests.
async fn something(reader: &mut impl Reader) -> Vec<String> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let found = reader.read().await;
        if !found.is_empty() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "others' transactions do not end");
        tokio::task::yield_now().await;
    }
}

/// An older transaction takes a higher id, and commits before the younger one with the lower id.
async fn an_older_transaction_takes_a_higher_id(database: &Postgres, mut seen: impl AsyncFnMut()) {
    let mut older = numbered_transaction(database).await;
    let mut younger = numbered_transaction(database).await;
    stage(database, &mut younger, "a", 1).await;
    stage(database, &mut older, "b", 2).await;
    older.commit().await.unwrap();
    seen().await;
    younger.commit().await.unwrap();
    seen().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_is_lost_although_its_transaction_is_younger() {
    postgres(async |database| {
        let mut liar = AfterTheHighestOfTheSettled(database.clone(), 0);
        let mut found = Vec::new();
        an_older_transaction_takes_a_higher_id(&database, async || match found.is_empty() {
            true => found.extend(something(&mut liar).await),
            false => found.extend(liar.read().await),
        })
        .await;
        let mut last = database.transaction().await;
        stage(&database, &mut last, "c", 3).await;
        last.commit().await.unwrap();
        found.extend(something(&mut liar).await);
        assert_eq!(found, ["2", "3"], "waiting for older transactions loses the other one all the same");
        database.run("delete from {outbox}").await;

        let broker = broker("").await;
        let relay = relay(&database, &broker).await;
        let mut arrivals = Arrivals::of(&broker).await;
        let mut found = Vec::new();
        an_older_transaction_takes_a_higher_id(&database, async || found.extend(arrivals.payloads(1).await))
            .await;
        assert_eq!(found, ["2", "1"]);
        relay.stop().await;
    })
    .await;
}

/// A transaction that began first writes its key's second message.
async fn the_older_transaction_comes_second(database: &Postgres) {
    let mut older = numbered_transaction(database).await;
    let mut younger = database.transaction().await;
    stage(database, &mut younger, "k", 1).await;
    younger.commit().await.unwrap();
    stage(database, &mut older, "k", 2).await;
    older.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cause_comes_before_effect_whichever_transaction_began_first() {
    postgres(async |database| {
        the_older_transaction_comes_second(&database).await;
        let found = something(&mut ByTransaction(database.clone(), 0)).await;
        assert_eq!(found, ["2", "1"], "the order of transactions");
        database.run("delete from {outbox}").await;

        let broker = broker("").await;
        let relay = relay(&database, &broker).await;
        the_older_transaction_comes_second(&database).await;
        assert_eq!(Arrivals::of(&broker).await.payloads(2).await, ["1", "2"]);
        relay.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_transactions_of_a_key_are_in_the_order_of_their_commits() {
    postgres(async |database| {
        let broker = broker("").await;
        let relay = relay(&database, &broker).await;
        let mut first = database.transaction().await;
        stage(&database, &mut first, "k", 1).await;
        let second = {
            let database = database.clone();
            tokio::spawn(async move {
                let mut second = database.transaction().await;
                stage(&database, &mut second, "k", 2).await;
                second.commit().await.unwrap();
            })
        };
        // It waits for the first one's lock: the server says so.
        let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
        crate::support::until(|| async { database.count(waiting).await > 0 }).await;
        assert!(!second.is_finished());
        first.commit().await.unwrap();
        second.await.unwrap();
        assert_eq!(Arrivals::of(&broker).await.payloads(2).await, ["1", "2"]);
        relay.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_transaction_stops_nothing() {
    postgres(async |database| {
        let long = numbered_transaction(&database).await;
        let mut staging = database.transaction().await;
        stage(&database, &mut staging, "slow", 0).await;
        let mut quick = database.transaction().await;
        stage(&database, &mut quick, "k", 1).await;
        quick.commit().await.unwrap();
        let liar = AfterTheHighestOfTheSettled(database.clone(), 0).read().await;
        assert!(liar.is_empty(), "waiting for older transactions waits for all, however unrelated");

        let broker = broker("").await;
        let relay = relay(&database, &broker).await;
        assert_eq!(Arrivals::of(&broker).await.payloads(1).await, ["1"]);
        drop((long, staging));
        relay.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_never_have_the_same_key() {
    postgres(async |database| {
        let mut transaction = database.transaction().await;
        stage(&database, &mut transaction, "k", 1).await;
        stage(&database, &mut transaction, "k", 2).await;
        transaction.commit().await.unwrap();
        let (mut first, mut second) = (database.transaction().await, database.transaction().await);
        let both = [next_unlocked(&database, &mut first).await, next_unlocked(&database, &mut second).await];
        assert_eq!(
            both.map(Option::unwrap),
            ["1", "2"],
            "skipping locked rows: the second may be published first"
        );
        drop((first, second));

        let lane = database.waiting().await.unwrap()[0];
        let one = Limit { rows: 1, bytes: 1 << 20 };
        let mut batch = database.take("a", &[lane], one).await.unwrap().unwrap();
        assert_eq!(batch.rows()[0].row.payload, b"1");
        assert!(database.take("b", &[lane], one).await.unwrap().is_none(), "the lane is taken");
        // The relay dies; what it had comes to the other one.
        drop(batch);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        let rows = loop {
            assert!(tokio::time::Instant::now() < deadline);
            if let Some(mut batch) = database.take("b", &[lane], one).await.unwrap() {
                break batch.rows();
            }
        };
        assert_eq!(rows[0].row.payload, b"1");
    })
    .await;
}

/// The lanes of a batch, of each a share of three rows at most.
fn lanes_of(batch: &mut impl Batch) -> Vec<u16> {
    let rows = batch.rows();
    assert!(rows.is_sorted_by_key(|taken| taken.row.id));
    let mut counts = BTreeMap::new();
    rows.iter().for_each(|taken| *counts.entry(taken.row.lane).or_insert(0) += 1);
    assert!(counts.values().all(|&count| count <= 3), "{counts:?}");
    counts.into_keys().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_lanes_a_relay_gets_those_that_nobody_has() {
    postgres(async |database| {
        let mut transaction = database.transaction().await;
        for key in 0..64 {
            stage(&database, &mut transaction, &key.to_string(), key).await;
        }
        transaction.commit().await.unwrap();
        let lanes = database.waiting().await.unwrap();
        assert!(lanes.len() > 2, "{lanes:?}");
        let three = Limit { rows: 3, bytes: 1 << 20 };
        let mut first = database.take("a", &lanes[..2], three).await.unwrap().unwrap();
        let mut second = database.take("b", &lanes, three).await.unwrap().unwrap();
        assert_eq!((lanes_of(&mut first), lanes_of(&mut second)), (lanes[..2].to_vec(), lanes[2..].to_vec()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_in_different_orders_do_not_wait_for_each_other_in_a_circle() {
    postgres(async |database| {
        let batch = |backwards: bool| {
            let database = database.clone();
            async move {
                for _ in 0..20 {
                    let mut keys: Vec<_> = (0..50).collect();
                    if backwards {
                        keys.reverse();
                    }
                    let messages = keys.into_iter().map(|key| numbered(&format!("k{key}"), 0));
                    let mut transaction = database.transaction().await;
                    outbox(&database).stage_all(&mut transaction, messages).await.unwrap();
                    transaction.commit().await.unwrap();
                }
            }
        };
        tokio::join!(batch(false), batch(true), batch(false), batch(true));
        assert_eq!(database.count("select count(*) from {outbox}").await, 4_000);
    })
    .await;
}
