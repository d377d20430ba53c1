//! Several relays, and relays that die.

use anybroker_patterns::outbox::RelayOptions;

use crate::support::{Arrivals, Database, broker, numbered, on_both, outbox, relay, relay_with};

on_both!(relays_share_the_work_and_keep_the_order, another_relay_takes_over);

const KEYS: usize = 20;
const EACH: usize = 100;

/// Stages every key's numbers, a few in each transaction, several transactions at once.
async fn stage_everything<D: Database>(database: &D) {
    let stage = |from: usize| {
        let database = database.clone();
        async move {
            for number in 0..EACH {
                let messages = (from..KEYS).step_by(4).map(|key| numbered(&format!("k{key}"), number));
                let mut transaction = database.transaction().await;
                outbox(&database).stage_all(D::connection(&mut transaction), messages).await.unwrap();
                D::commit(transaction).await;
            }
        }
    };
    tokio::join!(stage(0), stage(1), stage(2), stage(3));
}

pub(crate) async fn relays_share_the_work_and_keep_the_order<D: Database>(database: D) {
    let broker = broker("").await;
    let relays =
        [relay(&database, &broker).await, relay(&database, &broker).await, relay(&database, &broker).await];
    let mut arrivals = Arrivals::of(&broker).await;
    let (again, ()) = tokio::join!(arrivals.in_order(KEYS, EACH), stage_everything(&database));
    assert_eq!(again, 0, "nobody died");
    for relay in relays {
        relay.stop().await;
    }
}

pub(crate) async fn another_relay_takes_over<D: Database>(database: D) {
    let broker = broker("").await;
    let options = RelayOptions { batch: 7, ..RelayOptions::default() };
    let mut arrivals = Arrivals::of(&broker).await;
    let kills = async {
        for _ in 0..D::KILLS {
            let doomed = relay_with(&database, &broker, options.clone()).await;
            let published = doomed.progress.clone();
            // At a moment when it is at work, if there is still work.
            for _ in 0..20 {
                if published.published() > 0 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            doomed.kill().await;
        }
        relay_with(&database, &broker, options.clone()).await
    };
    let (_, (), last) = tokio::join!(arrivals.in_order(KEYS, EACH), stage_everything(&database), kills);
    last.stop().await;
}
