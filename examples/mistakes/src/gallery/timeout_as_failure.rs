//! No answer is taken for a no.

use std::collections::BTreeSet;

use anybroker_core::{
    Broker, ConsumerExt, Message, Publisher, PublisherExt, PublisherOptions, Result, Topic,
};
use anybroker_explore::{Like, Run};

use crate::Mistake;
use crate::database::Database;
use crate::shop::{ORDERS, must, place_orders, subscription, text, topic};

pub(super) const MISTAKE: Mistake = Mistake {
    name: "timeout_as_failure",
    title: "A timeout is treated as a failure",
    lesson: "Who gets no answer does not know: it may have happened. Ask again, with the same id, until there is an answer; undo \
             nothing that may have been done.",
    like: Like::RabbitMq,
    test: |run, mended| Box::pin(test(run, mended)),
};

#[derive(Debug, Default)]
struct Tables {
    refunded: BTreeSet<String>,
    shipped: BTreeSet<String>,
}

/// Has every order shipped, or gives the money back.
async fn checkout(broker: Broker, database: Database<Tables>, run: Run, mended: bool) -> Result<()> {
    let shipping = broker.publisher(PublisherOptions::new(Topic::new("shipping")?)).await?;
    let mut consumer = broker.consumer(subscription("orders", "checkout")?).await?;
    loop {
        let delivery = consumer.next().await?;
        let order = text(&delivery);
        if mended {
            publish_until_known(&*shipping, &order).await;
        } else if shipping.publish(Message::new(order.clone())).await.is_err() {
            let refund = |tables: &mut Tables| {
                run.note(format!("{order} cannot be shipped: the customer gets the money back"));
                tables.refunded.insert(order);
            };
            database.transaction(refund).await;
        }
        let _ = delivery.ack().await;
    }
}

async fn publish_until_known(shipping: &dyn Publisher, order: &str) {
    // The same message, so that all its copies have one id.
    let mut message = Message::new(order.to_owned());
    while let Err(failed) = shipping.publish(message).await {
        message = failed.into_parts().1;
    }
}

async fn warehouse(broker: Broker, database: Database<Tables>, run: Run) -> Result<()> {
    let mut consumer = broker.consumer(subscription("shipping", "warehouse")?).await?;
    loop {
        let delivery = consumer.next().await?;
        let order = text(&delivery);
        let ship = |tables: &mut Tables| {
            run.note(format!("{order} is shipped"));
            tables.shipped.insert(order)
        };
        database.transaction(ship).await;
        let _ = delivery.ack().await;
    }
}

async fn test(run: Run, mended: bool) -> Result<()> {
    let publisher = topic(&run, "orders", "checkout").await?;
    topic(&run, "shipping", "warehouse").await?;
    let (database, noted) = (Database::<Tables>::default(), run.clone());
    let (tables, clone) = (database.clone(), run.clone());
    run.process("checkout", move |broker| checkout(broker, tables.clone(), clone.clone(), mended));
    let tables = database.clone();
    run.process("warehouse", move |broker| warehouse(broker, tables.clone(), noted.clone()));
    place_orders(&*publisher).await?;
    run.drained().await;

    let tables = database.look();
    for number in 1..=ORDERS {
        let order = format!("order-{number}");
        let (refunded, shipped) = (tables.refunded.contains(&order), tables.shipped.contains(&order));
        must(!(refunded && shipped), || format!("{order} was shipped, and its money was given back"));
        must(refunded || shipped, || format!("{order} was neither shipped nor given back"));
    }
    Ok(())
}
