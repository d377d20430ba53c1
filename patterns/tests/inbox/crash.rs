//! Whoever handles a message dies at each of its awaits, and it is delivered again: it takes effect once.

use anybroker_core::Delivery;

use super::{Both, deliveries, inbox};
use crate::support::crash::{Awaits, Crash, caught};
use crate::support::{numbered, on_both, outbox};

on_both!(a_crash_anywhere_lets_a_message_take_effect_once, a_message_noted_afterwards_takes_effect_twice);

/// Handles a message; its effect is a message that is staged.
async fn handle<D: Both>(database: &D, delivery: &Delivery) {
    let mut transaction = begin(database).await;
    let effect = async |connection: &mut _| outbox(database).stage(connection, numbered("k", 0)).await;
    inbox(database).once(D::connection(&mut transaction), delivery, effect).await.unwrap();
    D::commit(transaction).await;
}

/// In a task of its own: a begin that is cut off leaves the transaction open (sqlx's issue 4393).
async fn begin<D: Both>(database: &D) -> D::Transaction {
    let database = database.clone();
    tokio::spawn(async move { database.transaction().await }).await.unwrap()
}

/// Gives how often it crashed, and how many effects there were whenever it was not one.
async fn crash_everywhere<D: Both>(database: &D, handle: impl AsyncFn(&D, &Delivery)) -> (usize, Vec<i64>) {
    let (_consumer, deliveries) = deliveries().await;
    let (mut crashed, mut wrong) = (0, Vec::new());
    for crash in Crash::BOTH {
        let mut awaits = Awaits::default();
        loop {
            let ended = crash.at(awaits.at(), handle(database, &deliveries[0])).await.is_some();
            handle(database, &deliveries[1]).await;
            let effects = database.count("select count(*) from {outbox}").await;
            if effects != 1 {
                wrong.push(effects);
            }
            for table in ["{outbox}", "{inbox}"] {
                database.run(&format!("delete from {table}")).await;
            }
            if !awaits.go_on(ended) {
                break;
            }
        }
        crashed += awaits.crashed();
    }
    println!("{crashed} crashes");
    (crashed, wrong)
}

async fn a_crash_anywhere_lets_a_message_take_effect_once<D: Both>(database: D) {
    let (crashed, wrong) = crash_everywhere(&database, async |database, it| handle(database, it).await).await;
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(crashed >= 2, "only {crashed}");
}

/// The liar: the note is a transaction of its own, after the effect's.
async fn a_message_noted_afterwards_takes_effect_twice<D: Both>(database: D) {
    let liar = async |database: &D, delivery: &Delivery| {
        let id = delivery.identity().unwrap();
        let mut looks = begin(database).await;
        let first = inbox(database).first(D::connection(&mut looks), &id).await.unwrap();
        D::rollback(looks).await;
        if first {
            let mut effect = begin(database).await;
            outbox(database).stage(D::connection(&mut effect), numbered("k", 0)).await.unwrap();
            D::commit(effect).await;
            let mut note = begin(database).await;
            inbox(database).first(D::connection(&mut note), &id).await.unwrap();
            D::commit(note).await;
        }
    };
    caught(async || crash_everywhere(&database, liar).await.1.contains(&2)).await;
}
