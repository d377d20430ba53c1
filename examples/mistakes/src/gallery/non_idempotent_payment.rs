//! Money is taken for every delivery.

use anybroker_core::{Broker, ConsumerExt, Result};
use anybroker_explore::{Like, Run};

use crate::Mistake;
use crate::database::Database;
use crate::shop::{ORDERS, must, place_orders, subscription, text, topic};

pub(super) const MISTAKE: Mistake = Mistake {
    name: "non_idempotent_payment",
    title: "Money is taken for every delivery",
    lesson: "At least once means: sometimes twice. The bank is told which order it is for, and charges an order once.",
    like: Like::Kafka,
    test: |run, mended| Box::pin(test(run, mended)),
};

/// The orders that were charged, as often as they were.
type Bank = Database<Vec<String>>;

async fn payments(broker: Broker, bank: Bank, run: Run, mended: bool) -> Result<()> {
    let mut consumer = broker.consumer(subscription("orders", "payments")?).await?;
    loop {
        let delivery = consumer.next().await?;
        let order = text(&delivery);
        if mended {
            charge_once(&bank, &order).await
        } else {
            charge(&bank, &run, &order).await
        }
        // Whether the broker hears of it or not: what comes again is dealt with again.
        let _ = delivery.ack().await;
    }
}

async fn charge(bank: &Bank, run: &Run, order: &str) {
    let charge = |charges: &mut Vec<String>| {
        charges.push(order.to_owned());
        run.note(format!("the bank charges {order}"));
    };
    bank.transaction(charge).await;
}

/// The order's number is the idempotency key.
async fn charge_once(bank: &Bank, order: &str) {
    let charge = |charges: &mut Vec<String>| {
        if !charges.iter().any(|charged| charged == order) {
            charges.push(order.to_owned());
        }
    };
    bank.transaction(charge).await;
}

async fn test(run: Run, mended: bool) -> Result<()> {
    let publisher = topic(&run, "orders", "payments").await?;
    let (bank, noted) = (Bank::default(), run.clone());
    let till = bank.clone();
    run.process("payments", move |broker| payments(broker, till.clone(), noted.clone(), mended));
    place_orders(&*publisher).await?;
    run.drained().await;

    let charges = bank.look();
    for number in 1..=ORDERS {
        let order = format!("order-{number}");
        let times = charges.iter().filter(|charged| **charged == order).count();
        must(times == 1, || format!("{order} was charged {times} times"));
    }
    Ok(())
}
