//! What fails goes to a retry topic, and is overtaken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{
    Broker, ConsumerExt, Delivery, Message, Publisher, PublisherExt, PublisherOptions, Result, Topic,
};
use anybroker_explore::{Like, Run};
use tokio::time::sleep;

use crate::Mistake;
use crate::database::Database;
use crate::shop::{ORDERS, must, subscription, text, topic};

pub(super) const MISTAKE: Mistake = Mistake {
    name: "retry_topic_breaks_order",
    title: "A retry topic breaks the order",
    lesson: "While a message waits in a retry topic, later ones of its key go on, and then it undoes what they did. A negative \
             acknowledgement brings it again before them.",
    like: Like::Kafka,
    test: |run, mended| Box::pin(test(run, mended)),
};

/// Where each customer lives.
type Addresses = Database<BTreeMap<String, String>>;

/// Keeps the address of each customer, and sends a letter to every new one.
async fn moving(
    broker: Broker,
    from: &'static str,
    addresses: Addresses,
    run: Run,
    mended: bool,
) -> Result<()> {
    let letters = broker.publisher(PublisherOptions::new(Topic::new("letters")?)).await?;
    let retries = broker.publisher(PublisherOptions::new(Topic::new("retries")?)).await?;
    let mut consumer = broker.consumer(subscription(from, "addresses")?).await?;
    loop {
        let delivery = consumer.next().await?;
        if letters.publish(Message::new(format!("Dear {}", text(&delivery)))).await.is_ok() {
            keep(&addresses, &run, &text(&delivery)).await;
            let _ = delivery.ack().await;
        } else if mended {
            let _ = delivery.nack(Duration::from_millis(100)).await;
        } else {
            retry_later(&retries, delivery).await?;
        }
    }
}

async fn keep(addresses: &Addresses, run: &Run, moved: &str) {
    if let Some((customer, address)) = moved.split_once(" lives in ") {
        let keep = |addresses: &mut BTreeMap<_, _>| {
            addresses.insert(customer.to_owned(), address.to_owned());
            run.note(format!("{moved} now"));
        };
        addresses.transaction(keep).await;
    }
}

async fn retry_later(retries: &Arc<dyn Publisher>, delivery: Delivery) -> Result<()> {
    sleep(Duration::from_millis(100)).await;
    retries.publish(Message::new(delivery.payload().clone())).await?;
    let _ = delivery.ack().await;
    Ok(())
}

async fn test(run: Run, mended: bool) -> Result<()> {
    let publisher = topic(&run, "moves", "addresses").await?;
    topic(&run, "retries", "addresses").await?;
    let addresses = Addresses::default();
    for from in ["moves", "retries"] {
        let (addresses, noted) = (addresses.clone(), run.clone());
        run.process(from, move |broker| moving(broker, from, addresses.clone(), noted.clone(), mended));
    }
    for house in 1..=ORDERS {
        let customer = format!("customer-{}", house % 4);
        let moved = format!("{customer} lives in house {house}");
        publisher.publish(Message::new(moved).with_key(customer)).await?;
    }
    run.drained().await;

    let addresses = addresses.look();
    for house in ORDERS - 3..=ORDERS {
        let (customer, last) = (format!("customer-{}", house % 4), format!("house {house}"));
        let kept = addresses.get(&customer).cloned().unwrap_or_default();
        must(kept == last, || {
            format!("'{customer} lives in {last}' came last, and the table says '{customer} lives in {kept}'")
        });
    }
    Ok(())
}
