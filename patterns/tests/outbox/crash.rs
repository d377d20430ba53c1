//! The relay dies at each of its awaits, and another one goes on: everything arrives, in order.

use anybroker_core::{Broker, PublisherExt, PublisherOptions};
use anybroker_patterns::outbox::{Relay, RelayOptions};

use crate::support::crash::{Awaits, Crash, caught};
use crate::support::{Arrivals, Database, broker, numbered, on_both, outbox, topic};

on_both!(a_crash_anywhere_loses_nothing, a_row_deleted_before_it_is_published_is_lost);

const MESSAGES: [&str; 5] = ["0", "1", "2", "3", "4"];

async fn stage<D: Database>(database: &D) {
    let mut transaction = database.transaction().await;
    let messages = (0..MESSAGES.len()).map(|number| numbered("k", number));
    outbox(database).stage_all(D::connection(&mut transaction), messages).await.unwrap();
    D::commit(transaction).await;
}

/// Ours, with batches that are smaller than what there is.
async fn relay<D: Database>(database: &D, broker: &Broker) {
    let options = RelayOptions { batch: 2, ..RelayOptions::default() };
    let relay = Relay::open(database.clone(), broker.clone(), options).await.unwrap();
    relay.run_due().await.unwrap();
}

/// Until the outbox is empty; what the dead one held is given back when the database has noticed.
async fn finish<D: Database>(database: &D, broker: &Broker) {
    while database.status().await.unwrap().backlog > 0 {
        relay(database, broker).await;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

/// What came to the broker, in order.
async fn arrived(broker: &Broker) -> Vec<String> {
    let publisher = broker.publisher(PublisherOptions::new(topic())).await.unwrap();
    publisher.publish(numbered("k", 99)).await.unwrap();
    let mut arrivals = Arrivals::of(broker).await;
    let mut payloads = Vec::new();
    loop {
        match arrivals.next().await.1 {
            end if end == "99" => return payloads,
            payload => payloads.push(payload),
        }
    }
}

/// All of them, each first in order; what comes again comes with what follows it.
fn complete(arrived: &[String]) -> bool {
    let mut next = 0;
    for payload in arrived {
        let number: usize = payload.parse().unwrap();
        if number > next {
            return false;
        }
        next = next.max(number + 1);
    }
    next == MESSAGES.len()
}

/// Crashes a relay at every await, and lets ours go on; gives how often, and what was not complete.
async fn crash_everywhere<D: Database>(
    database: &D,
    relay: impl AsyncFn(&D, &Broker),
) -> (usize, Vec<Vec<String>>) {
    let (mut crashed, mut wrong) = (0, Vec::new());
    for crash in Crash::BOTH {
        let mut awaits = Awaits::default();
        loop {
            let broker = broker("").await;
            stage(database).await;
            let ended = crash.at(awaits.at(), relay(database, &broker)).await.is_some();
            pass_time(database).await;
            finish(database, &broker).await;
            let arrived = arrived(&broker).await;
            if !complete(&arrived) {
                wrong.push(arrived);
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

/// On SQLite, as when the lease of the dead relay has run out.
async fn pass_time<D: Database>(database: &D) {
    if D::LEASED {
        database.run("update {relay} set until = 0").await;
    }
}

pub(crate) async fn a_crash_anywhere_loses_nothing<D: Database>(database: D) {
    let (crashed, wrong) =
        crash_everywhere(&database, async |database, broker| relay(database, broker).await).await;
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(crashed >= 2, "only {crashed}");
}

/// The liar.
async fn a_row_deleted_before_it_is_published_is_lost<D: Database>(database: D) {
    let liar = async |database: &D, broker: &Broker| {
        let publisher = broker.publisher(PublisherOptions::new(topic())).await.unwrap();
        database.run("delete from {outbox}").await;
        tokio::task::yield_now().await;
        let messages = (0..MESSAGES.len()).map(|number| numbered("k", number)).collect();
        publisher.publish_batch(messages).await;
    };
    caught(async || crash_everywhere(&database, liar).await.1.contains(&Vec::new())).await;
}
