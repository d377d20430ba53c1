//! A message that cannot be handled comes again for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use anybroker_core::{Broker, ConsumerExt, DeadLetterPolicy, Message, PublisherExt, Result, Topic};
use anybroker_explore::{Like, Run};
use tokio::time::timeout;

use crate::Mistake;
use crate::database::Database;
use crate::shop::{must, place_orders, subscription, text, topic};

pub(super) const MISTAKE: Mistake = Mistake {
    name: "poison_loop",
    title: "A poisoned message comes again for ever",
    lesson: "What fails always is not to be tried always: it goes to a dead letter topic, where somebody looks at it, and its key \
             goes on.",
    like: Like::SqsFifo,
    test: |run, mended| Box::pin(test(run, mended)),
};

const POISON: &str = "0rd3r-?";

async fn parsing(broker: Broker, orders: Database<BTreeSet<u32>>, mended: bool) -> Result<()> {
    let mut subscription = subscription("orders", "parsing")?;
    if mended {
        subscription =
            subscription.dead_letter(DeadLetterPolicy { topic: Topic::new("dead")?, max_attempts: Some(3) });
    }
    let mut consumer = broker.consumer(subscription).await?;
    loop {
        let delivery = consumer.next().await?;
        match text(&delivery).strip_prefix("order-").and_then(|number| number.parse().ok()) {
            Some(number) => {
                orders.transaction(|orders| orders.insert(number)).await;
                let _ = delivery.ack().await;
            }
            // Perhaps it works the next time?
            None => _ = delivery.nack(Duration::from_secs(10)).await,
        }
    }
}

async fn test(run: Run, mended: bool) -> Result<()> {
    let publisher = topic(&run, "orders", "parsing").await?;
    let orders = Database::<BTreeSet<u32>>::default();
    let table = orders.clone();
    run.process("parsing", move |broker| parsing(broker, table.clone(), mended));
    publisher.publish(Message::new(POISON).with_key("customer-1")).await?;
    place_orders(&*publisher).await?;
    run.drained().await;

    let parsed = orders.look().len();
    must(parsed == crate::shop::ORDERS, || format!("only {parsed} orders were read"));
    let mut dead = run.outside().consumer(subscription("dead", "people")?).await?;
    let letter = timeout(Duration::from_secs(1), dead.next()).await;
    must(letter.is_ok_and(|letter| letter.is_ok()), || format!("{POISON} has disappeared"));
    Ok(())
}
