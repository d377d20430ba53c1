//! A read model counts what it is told, however often.

use std::collections::BTreeMap;

use anybroker_core::{Broker, ConsumerExt, Result};
use anybroker_explore::{Like, Run};

use crate::Mistake;
use crate::database::Database;
use crate::shop::{ORDERS, must, place_orders, position, subscription, text, topic};

pub(super) const MISTAKE: Mistake = Mistake {
    name: "read_model_without_checkpoint",
    title: "A read model has no checkpoint",
    lesson: "The broker's offset and the read model are two places, and one of them is behind. A projection keeps its own position \
             in the model's transaction, and passes over what it has had.",
    like: Like::Kafka,
    test: |run, mended| Box::pin(test(run, mended)),
};

#[derive(Debug, Default)]
struct Dashboard {
    orders: usize,
    /// The next offset of each partition.
    checkpoint: BTreeMap<u32, u64>,
}

async fn projection(broker: Broker, dashboard: Database<Dashboard>, run: Run, mended: bool) -> Result<()> {
    let mut consumer = broker.consumer(subscription("orders", "dashboard")?).await?;
    loop {
        let delivery = consumer.next().await?;
        let position = position(&delivery)?;
        let count = |dashboard: &mut Dashboard| {
            let next = dashboard.checkpoint.entry(position.partition).or_default();
            if mended && position.offset < *next {
                return;
            }
            *next = position.offset + 1;
            dashboard.orders += 1;
            run.note(format!("{} is counted: {} orders", text(&delivery), dashboard.orders));
        };
        dashboard.transaction(count).await;
        let _ = delivery.ack().await;
    }
}

async fn test(run: Run, mended: bool) -> Result<()> {
    let publisher = topic(&run, "orders", "dashboard").await?;
    let (dashboard, noted) = (Database::<Dashboard>::default(), run.clone());
    let model = dashboard.clone();
    run.process("dashboard", move |broker| projection(broker, model.clone(), noted.clone(), mended));
    place_orders(&*publisher).await?;
    run.drained().await;

    let shown = dashboard.look().orders;
    must(shown == ORDERS, || format!("the dashboard shows {shown} orders, and there are {ORDERS}"));
    Ok(())
}
