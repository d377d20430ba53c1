//! An order of messages is relied on that have different keys.

use std::collections::BTreeSet;
use std::time::Duration;

use anybroker_core::{Broker, ConsumerExt, Message, PublisherExt, Result};
use anybroker_explore::{Like, Run};
use tokio::time::sleep;

use crate::Mistake;
use crate::database::Database;
use crate::shop::{ORDERS, must, subscription, text, topic};

pub(super) const MISTAKE: Mistake = Mistake {
    name: "order_across_keys",
    title: "Order is assumed across keys",
    lesson: "A broker keeps the order of one key. What has to come after something else needs the same key: here the customer's.",
    like: Like::Kafka,
    test: |run, mended| Box::pin(test(run, mended)),
};

#[derive(Debug, Default)]
struct Tables {
    customers: BTreeSet<String>,
    orders: BTreeSet<String>,
}

/// Takes orders of the customers that it knows.
async fn accounts(broker: Broker, database: Database<Tables>, run: Run) -> Result<()> {
    let mut consumer = broker.consumer(subscription("shop", "accounts")?).await?;
    loop {
        let delivery = consumer.next().await?;
        let text = text(&delivery);
        let known = database.transaction(|tables| tables.apply(&text)).await;
        if !known {
            run.note(format!("'{text}': no such customer, and so the order is turned away"));
        }
        let _ = delivery.ack().await;
    }
}

impl Tables {
    fn apply(&mut self, text: &str) -> bool {
        let Some((customer, what)) = text.split_once(' ') else { return false };
        match what {
            "registers" => self.customers.insert(customer.into()) || self.customers.contains(customer),
            _ if self.customers.contains(customer) => {
                self.orders.insert(customer.into());
                true
            }
            _ => false,
        }
    }
}

async fn test(run: Run, mended: bool) -> Result<()> {
    let publisher = topic(&run, "shop", "accounts").await?;
    let database = Database::<Tables>::default();
    let (tables, noted) = (database.clone(), run.clone());
    run.process("accounts", move |broker| accounts(broker, tables.clone(), noted.clone()));
    for number in 1..=ORDERS {
        let (customer, order) = (format!("customer-{number}"), format!("order-{number}"));
        publisher.publish(Message::new(format!("{customer} registers")).with_key(customer.clone())).await?;
        // A second later: what could go wrong?
        sleep(Duration::from_secs(1)).await;
        let key = if mended { customer.clone() } else { order };
        publisher.publish(Message::new(format!("{customer} orders")).with_key(key)).await?;
    }
    run.drained().await;

    let tables = database.look();
    for number in 1..=ORDERS {
        let customer = format!("customer-{number}");
        let taken = tables.orders.contains(&customer);
        must(taken, || {
            format!("an order was turned away: '{customer} orders' came before '{customer} registers'")
        });
    }
    Ok(())
}
