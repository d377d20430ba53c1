//! Puts topics, services and the shop together, and waits for the last order.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anybroker::{
    Broker, DeliveryLevel, Error, Group, Kind, Message, Publisher, PublisherOptions, Requirements, Result,
    Scope, Subscription, Topic, Topology,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::service::{Handled, Handler, Service};
use crate::stages::{self, Seen};
use crate::tally::Tally;
use crate::{Settings, shop};

/// Where a message goes: each place is a topic with one service behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Next {
    Payment,
    Inventory,
    Shipping,
    Office,
}

/// Messages with the places that they go to.
pub(crate) type Outgoing = Vec<(Next, Message)>;

/// Each place's topic, and the group that serves it. Services have groups of their own: on Kafka a group spans topics,
/// and whoever joins it anywhere rebalances all of it.
const PLACES: [(Next, &str, &str); 4] = [
    (Next::Payment, "orders", "payment"),
    (Next::Inventory, "payments", "inventory"),
    (Next::Shipping, "reservations", "shipping"),
    (Next::Office, "finished", "office"),
];

/// How long nothing may happen before the run is given up.
const STALL: Duration = Duration::from_secs(60);

pub(crate) async fn run(broker: &Broker, settings: Settings) -> Result<Arc<Tally>> {
    let topics = declare(broker).await?;
    let publishers = publishers(broker, &topics).await?;
    let tally = Arc::new(Tally::new(settings.orders));
    let (stop, stopped) = watch::channel(false);
    let mut services = JoinSet::new();
    for (place, (topic, group)) in &topics {
        let (handler, handled) = (handler(*place, &tally), Handled::default());
        for _ in 0..settings.members {
            let consumer = broker.consumer(subscription(topic, group)).await?;
            let (handler, handled, tally) = (handler.clone(), handled.clone(), tally.clone());
            let (settler, publishers) = (consumer.settler(), publishers.clone());
            let service = Service { settler, publishers, handler, handled, tally };
            services.spawn(service.run(consumer, stopped.clone()));
        }
    }
    let orders = publishers[&Next::Payment].clone();
    services.spawn(shop::open(orders, settings.orders, tally.clone()));
    watch_over(&tally, &mut services).await?;
    let _ = stop.send(true);
    while let Some(ended) = services.join_next().await {
        joined(ended)?;
    }
    for (topic, _) in topics.values() {
        broker.admin().delete(topic).await?;
    }
    Ok(tally)
}

/// This run's topics, each with the group that reads it.
type Topics = HashMap<Next, (Topic, Group)>;

async fn declare(broker: &Broker) -> Result<Topics> {
    let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    let mut topics = HashMap::new();
    for (place, topic, group) in PLACES {
        let (topic, group) =
            (Topic::new(format!("{topic}-{run:x}"))?, Group::new(format!("{group}-{run:x}"))?);
        broker.admin().declare(&Topology::new(topic.clone()).group(group.clone())).await?;
        topics.insert(place, (topic, group));
    }
    Ok(topics)
}

/// What this application cannot do without. A broker that does not give it is refused at start-up.
fn requirements() -> Requirements {
    Requirements::new().ordering(Scope::Key).delivery(DeliveryLevel::AtLeastOnce)
}

fn subscription(topic: &Topic, group: &Group) -> Subscription {
    Subscription::new(topic.clone(), group.clone()).require(requirements())
}

async fn publishers(broker: &Broker, topics: &Topics) -> Result<HashMap<Next, Arc<dyn Publisher>>> {
    let mut publishers = HashMap::new();
    for (place, (topic, _)) in topics {
        let options = PublisherOptions::new(topic.clone()).require(requirements());
        publishers.insert(*place, broker.publisher(options).await?);
    }
    Ok(publishers)
}

fn handler(place: Next, tally: &Arc<Tally>) -> Handler {
    let tally = tally.clone();
    match place {
        Next::Payment => {
            let seen = Seen::default();
            Arc::new(move |delivery| stages::payment(delivery, &seen, &tally))
        }
        Next::Inventory => Arc::new(stages::inventory),
        Next::Shipping => Arc::new(stages::shipping),
        Next::Office => Arc::new(move |delivery| stages::office(delivery, &tally)),
    }
}

/// Waits until every order is in a final state; a service that ends with an error ends the run.
async fn watch_over(tally: &Tally, services: &mut JoinSet<Result<()>>) -> Result<()> {
    let mut shop_open = true;
    let shown = std::io::stderr().is_terminal();
    loop {
        let before = tally.finished_count();
        tokio::select! {
            () = tally.all_finished() => break,
            // The only one that ends by itself, and without an error, is the shop.
            Some(ended) = services.join_next(), if shop_open => { joined(ended)?; shop_open = false; }
            () = tokio::time::sleep(STALL) => {
                if tally.finished_count() == before {
                    let text = format!("{before} of {} orders finished, and none in {STALL:?}", tally.orders());
                    return Err(Error::new(Kind::TimedOut, "orders", text));
                }
            }
            () = tokio::time::sleep(Duration::from_millis(200)), if shown => {
                eprint!("\r{before} of {} orders finished", tally.orders());
                let _ = std::io::stderr().flush();
            }
        }
    }
    if shown {
        eprint!("\r\x1b[K");
    }
    Ok(())
}

fn joined(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|e| Err(Error::new(Kind::Unexpected, "orders", "a service panicked").with_source(e)))
}
