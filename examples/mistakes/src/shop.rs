//! What all the services here need.

use std::sync::Arc;

use anybroker_core::{
    Delivery, Error, Group, Kind, Message, Position, Publisher, PublisherExt, PublisherOptions, Result,
    Subscription, Topic, Topology,
};
use anybroker_explore::Run;

/// How many messages each test sends.
pub(crate) const ORDERS: usize = 20;

/// Declares a topic with one group, and gives what brings messages into it from outside.
pub(crate) async fn topic(run: &Run, topic: &str, group: &str) -> Result<Arc<dyn Publisher>> {
    let (topic, group) = (Topic::new(topic)?, Group::new(group)?);
    run.outside().admin().declare(&Topology::new(topic.clone()).group(group)).await?;
    run.outside().publisher(PublisherOptions::new(topic)).await
}

/// As many orders as a test sends, of a few customers each.
pub(crate) async fn place_orders(publisher: &dyn Publisher) -> Result<()> {
    for number in 1..=ORDERS {
        let customer = format!("customer-{}", number % 3);
        publisher.publish(Message::new(format!("order-{number}")).with_key(customer)).await?;
    }
    Ok(())
}

pub(crate) fn subscription(topic: &str, group: &str) -> Result<Subscription> {
    Ok(Subscription::new(Topic::new(topic)?, Group::new(group)?))
}

/// What the message says.
pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.payload()).into_owned()
}

/// Where the broker keeps the message.
pub(crate) fn position(delivery: &Delivery) -> Result<Position> {
    let none = || Error::new(Kind::Unsupported, "position", "this broker does not tell positions");
    delivery.position().ok_or_else(none)
}

/// What must hold.
///
/// # Panics
/// If it does not: so a test says what is wrong.
#[track_caller]
pub(crate) fn must(holds: bool, otherwise: impl FnOnce() -> String) {
    assert!(holds, "{}", otherwise());
}
