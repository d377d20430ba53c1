//! What was done is remembered only after it was done.

use std::collections::{BTreeMap, BTreeSet};

use anybroker_core::{Broker, ConsumerExt, Result};
use anybroker_explore::{Like, Run};

use crate::Mistake;
use crate::database::Database;
use crate::shop::{ORDERS, must, place_orders, subscription, text, topic};

pub(super) const MISTAKE: Mistake = Mistake {
    name: "dedup_after_effect",
    title: "What was done is remembered only after it was done",
    lesson: "A table of messages that were seen helps only if it is written with the effect, in one transaction (an inbox). \
             Between two there is a moment to die.",
    like: Like::JetStream,
    test: |run, mended| Box::pin(test(run, mended)),
};

#[derive(Debug, Default)]
struct Tables {
    /// Points of each customer, one for every order.
    points: BTreeMap<String, usize>,
    seen: BTreeSet<String>,
}

async fn loyalty(broker: Broker, database: Database<Tables>, run: Run, mended: bool) -> Result<()> {
    let mut consumer = broker.consumer(subscription("orders", "loyalty")?).await?;
    loop {
        let delivery = consumer.next().await?;
        let (order, customer) = (text(&delivery), delivery.to_key().map(|key| key.to_string()));
        let customer = customer.unwrap_or_default();
        if mended {
            // Effect and memory are one.
            database.transaction(|tables| tables.remember(&order) && tables.add_point(customer)).await;
        } else if !database.transaction(|tables| tables.seen.contains(&order)).await {
            let reward = |tables: &mut Tables| {
                run.note(format!("{order} gives {customer} a point"));
                tables.add_point(customer)
            };
            database.transaction(reward).await;
            database.transaction(|tables| tables.remember(&order)).await;
        }
        let _ = delivery.ack().await;
    }
}

impl Tables {
    /// Whether it is new.
    fn remember(&mut self, order: &str) -> bool {
        self.seen.insert(order.to_owned())
    }

    fn add_point(&mut self, customer: String) -> bool {
        *self.points.entry(customer).or_default() += 1;
        true
    }
}

async fn test(run: Run, mended: bool) -> Result<()> {
    let publisher = topic(&run, "orders", "loyalty").await?;
    let database = Database::<Tables>::default();
    let (tables, noted) = (database.clone(), run.clone());
    run.process("loyalty", move |broker| loyalty(broker, tables.clone(), noted.clone(), mended));
    place_orders(&*publisher).await?;
    run.drained().await;

    let points: usize = database.look().points.values().sum();
    must(points == ORDERS, || format!("{ORDERS} orders gave {points} points"));
    Ok(())
}
