//! A message is acknowledged before its work is done.

use std::collections::BTreeSet;

use anybroker_core::{Broker, ConsumerExt, Result};
use anybroker_explore::{Like, Run};

use crate::Mistake;
use crate::database::Database;
use crate::shop::{ORDERS, must, place_orders, subscription, text, topic};

pub(super) const MISTAKE: Mistake = Mistake {
    name: "ack_before_effect",
    title: "A message is acknowledged before its work is done",
    lesson: "Who is killed in between has lost the message: the broker believes that it is done. Work first, then acknowledge; \
             and as it may come twice then, the work is one that can be repeated.",
    like: Like::RabbitMq,
    test: |run, mended| Box::pin(test(run, mended)),
};

/// The orders that were shipped; a row for each order.
type Shipments = Database<BTreeSet<String>>;

async fn shipping(broker: Broker, shipments: Shipments, run: Run, mended: bool) -> Result<()> {
    let mut consumer = broker.consumer(subscription("orders", "shipping")?).await?;
    loop {
        let delivery = consumer.next().await?;
        let order = text(&delivery);
        if mended {
            ship(&shipments, &run, order).await;
            let _ = delivery.ack().await;
        } else {
            let _ = delivery.ack().await;
            ship(&shipments, &run, order).await;
        }
    }
}

async fn ship(shipments: &Shipments, run: &Run, order: String) {
    let ship = |shipped: &mut BTreeSet<String>| {
        run.note(format!("{order} is shipped"));
        shipped.insert(order);
    };
    shipments.transaction(ship).await;
}

async fn test(run: Run, mended: bool) -> Result<()> {
    let publisher = topic(&run, "orders", "shipping").await?;
    let shipments = Shipments::default();
    let (table, noted) = (shipments.clone(), run.clone());
    run.process("shipping", move |broker| shipping(broker, table.clone(), noted.clone(), mended));
    place_orders(&*publisher).await?;
    run.drained().await;

    let shipped = shipments.look();
    for number in 1..=ORDERS {
        let order = format!("order-{number}");
        must(shipped.contains(&order), || format!("{order} is never shipped, and nobody will notice"));
    }
    Ok(())
}
