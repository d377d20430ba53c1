//! A position is stored although an earlier message is not finished.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anybroker_core::{Broker, Delivery, Position, Result};
use anybroker_explore::{Like, Run};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Mistake;
use crate::database::Database;
use crate::shop::{ORDERS, must, place_orders, position, subscription, text, topic};

pub(super) const MISTAKE: Mistake = Mistake {
    name: "offset_past_unfinished",
    title: "An offset is stored past an unfinished message",
    lesson: "Who works on several messages at once may not remember only the highest offset: a lower one may be unfinished, and \
             is taken for done after a crash. Remember each, or the lowest below which everything is finished.",
    like: Like::Kafka,
    test: |run, mended| Box::pin(test(run, mended)),
};

#[derive(Debug, Default)]
struct Tables {
    invoices: BTreeSet<String>,
    /// The highest finished offset of each partition.
    highest: BTreeMap<u32, u64>,
    /// Or each finished one.
    finished: BTreeSet<(u32, u64)>,
}

async fn invoicing(broker: Broker, database: Database<Tables>, run: Run, mended: bool) -> Result<()> {
    let mut consumer = broker.consumer(subscription("orders", "invoicing")?).await?;
    // They end with the process.
    let mut work = JoinSet::new();
    loop {
        for delivery in consumer.receive(8).await? {
            let (database, run) = (database.clone(), run.clone());
            let position = position(&delivery)?;
            work.spawn(async move { invoice(&database, &run, position, delivery, mended).await });
        }
        while work.join_next().await.is_some() {}
    }
}

async fn invoice(
    database: &Database<Tables>,
    run: &Run,
    position: Position,
    delivery: Delivery,
    mended: bool,
) {
    let order = text(&delivery);
    if database.transaction(|tables| tables.is_finished(position, mended)).await {
        run.note(format!("{order} is taken for done"));
    } else {
        // Some invoices take longer than others.
        sleep(Duration::from_millis(position.offset * 7 % 20)).await;
        let finish = |tables: &mut Tables| {
            let stored = tables.finish(&order, position);
            run.note(format!("{order} gets its invoice, and offset {stored} is stored"));
        };
        database.transaction(finish).await;
    }
    let _ = delivery.ack().await;
}

impl Tables {
    fn is_finished(&self, Position { partition, offset }: Position, mended: bool) -> bool {
        if mended {
            return self.finished.contains(&(partition, offset));
        }
        self.highest.get(&partition).is_some_and(|highest| offset <= *highest)
    }

    fn finish(&mut self, order: &str, Position { partition, offset }: Position) -> u64 {
        self.invoices.insert(order.to_owned());
        self.finished.insert((partition, offset));
        let highest = self.highest.entry(partition).or_default();
        *highest = offset.max(*highest);
        *highest
    }
}

async fn test(run: Run, mended: bool) -> Result<()> {
    let publisher = topic(&run, "orders", "invoicing").await?;
    let database = Database::<Tables>::default();
    let (tables, noted) = (database.clone(), run.clone());
    run.process("invoicing", move |broker| invoicing(broker, tables.clone(), noted.clone(), mended));
    place_orders(&*publisher).await?;
    run.drained().await;

    let tables = database.look();
    for number in 1..=ORDERS {
        let order = format!("order-{number}");
        must(tables.invoices.contains(&order), || format!("{order} never gets an invoice"));
    }
    Ok(())
}
