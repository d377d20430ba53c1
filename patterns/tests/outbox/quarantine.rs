//! What no broker can take is set aside, with what follows it, and nothing else waits for it.

use anybroker_core::Message;
use anybroker_patterns::outbox::Row;

use crate::support::{Arrivals, Database, broker, numbered, on_both, outbox, relay, topic, until};

on_both!(a_bad_row_is_set_aside_with_what_follows_it, a_discarded_row_lets_the_others_go);

/// Three messages of `bad`, of which the first is spoiled, and one of another key.
async fn spoiled<D: Database>(database: &D) {
    let mut transaction = database.transaction().await;
    let messages = [numbered("bad", 0), numbered("bad", 1), numbered("good", 0), numbered("bad", 2)];
    let mut rows = messages.map(|message| Row::new(&topic(), message).unwrap());
    rows[0].attributes = Some(r#"{"colour": 1}"#.into());
    database.stage(D::connection(&mut transaction), rows.into()).await.unwrap();
    D::commit(transaction).await;
}

pub(crate) async fn a_bad_row_is_set_aside_with_what_follows_it<D: Database>(database: D) {
    let broker = broker("").await;
    spoiled(&database).await;
    let relay = relay(&database, &broker).await;
    let mut arrivals = Arrivals::of(&broker).await;
    assert_eq!(arrivals.next().await, ("good".into(), "0".into()));
    until(|| async { database.status().await.unwrap().quarantined == 3 }).await;
    // One that is staged later waits too.
    let mut transaction = database.transaction().await;
    outbox(&database).stage(D::connection(&mut transaction), numbered("bad", 3)).await.unwrap();
    outbox(&database).stage(D::connection(&mut transaction), Message::new("keyless")).await.unwrap();
    D::commit(transaction).await;
    assert_eq!(arrivals.next().await.1, "keyless");
    until(|| async { database.status().await.unwrap().quarantined == 4 }).await;
    let aside = database.quarantined(0, 10).await.unwrap();
    assert!(aside[0].reason.contains("not what the outbox writes"), "{}", aside[0].reason);
    assert_eq!(aside.iter().map(|it| it.behind).collect::<Vec<_>>(), [false, true, true, true]);
    assert_eq!(database.quarantined(aside[1].row.id, 1).await.unwrap()[0].row.payload, b"2");
    // Mended and tried again, everything comes in order.
    database.run("update {quarantine} set attributes = null where not behind").await;
    assert!(database.retry(aside[0].row.id).await.unwrap());
    assert_eq!(arrivals.payloads(4).await, ["0", "1", "2", "3"]);
    until(|| async { database.status().await.unwrap().quarantined == 0 }).await;
    assert!(!database.retry(aside[0].row.id).await.unwrap(), "it is gone");
    relay.stop().await;
}

pub(crate) async fn a_discarded_row_lets_the_others_go<D: Database>(database: D) {
    let broker = broker("").await;
    spoiled(&database).await;
    let relay = relay(&database, &broker).await;
    until(|| async { database.status().await.unwrap().quarantined == 3 }).await;
    let first = database.quarantined(0, 1).await.unwrap()[0].row.id;
    // Tried again as it is, it is set aside again, and the others behind it.
    assert!(database.retry(first).await.unwrap());
    until(|| async { relay.progress.quarantined() >= 6 }).await;
    until(|| async { database.status().await.unwrap().quarantined == 3 }).await;
    assert!(database.discard(first).await.unwrap());
    let mut arrivals = Arrivals::of(&broker).await;
    let mut payloads = arrivals.payloads(3).await;
    payloads.retain(|payload| payload != "0");
    assert_eq!(payloads, ["1", "2"]);
    assert!(!database.discard(first).await.unwrap());
    relay.stop().await;
}
