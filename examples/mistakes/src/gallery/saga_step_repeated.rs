//! A process of several steps begins anew after a crash.

use std::collections::BTreeMap;

use anybroker_core::{Broker, ConsumerExt, Result};
use anybroker_explore::{Like, Run};

use crate::Mistake;
use crate::database::Database;
use crate::shop::{ORDERS, must, place_orders, subscription, text, topic};

pub(super) const MISTAKE: Mistake = Mistake {
    name: "saga_step_repeated",
    title: "A saga repeats a step that it has done",
    lesson: "A saga that is interrupted goes on where it was: each step is recorded in the transaction of its effect. (A step at \
             somebody else's gets an idempotency key.)",
    like: Like::Pulsar,
    test: |run, mended| Box::pin(test(run, mended)),
};

const STEPS: [&str; 3] = ["reserve", "pay", "ship"];

#[derive(Debug, Default)]
struct Tables {
    /// How often each step of each order had its effect.
    effects: BTreeMap<(String, &'static str), usize>,
    /// How many steps of each order are done.
    done: BTreeMap<String, usize>,
}

async fn fulfilment(broker: Broker, database: Database<Tables>, run: Run, mended: bool) -> Result<()> {
    let mut consumer = broker.consumer(subscription("orders", "fulfilment")?).await?;
    loop {
        let delivery = consumer.next().await?;
        let order = text(&delivery);
        for (number, step) in STEPS.iter().enumerate() {
            let work = |tables: &mut Tables| {
                if !mended || tables.is_due(&order, number) {
                    tables.take(&order, step);
                    run.note(format!("{order}: {step}"));
                }
            };
            database.transaction(work).await;
        }
        let _ = delivery.ack().await;
    }
}

impl Tables {
    fn is_due(&self, order: &str, number: usize) -> bool {
        self.done.get(order).is_none_or(|done| *done == number)
    }

    /// The effect, and that it is done.
    fn take(&mut self, order: &str, step: &'static str) {
        *self.effects.entry((order.to_owned(), step)).or_default() += 1;
        *self.done.entry(order.to_owned()).or_default() += 1;
    }
}

async fn test(run: Run, mended: bool) -> Result<()> {
    let publisher = topic(&run, "orders", "fulfilment").await?;
    let (database, noted) = (Database::<Tables>::default(), run.clone());
    let tables = database.clone();
    run.process("fulfilment", move |broker| fulfilment(broker, tables.clone(), noted.clone(), mended));
    place_orders(&*publisher).await?;
    run.drained().await;

    let tables = database.look();
    for number in 1..=ORDERS {
        for step in STEPS {
            let order = format!("order-{number}");
            let times = tables.effects.get(&(order.clone(), step)).copied().unwrap_or_default();
            must(times == 1, || format!("{order} was to {step} once, and did so {times} times"));
        }
    }
    Ok(())
}
