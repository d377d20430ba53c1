//! A message there and back, on a topic of its own.

use std::time::{Duration, Instant};

use anybroker::{
    Broker, ConsumerExt, Diagnosis, Error, Finding, Group, Kind, Message, MessageId, PublisherExt,
    PublisherOptions, Result as BrokerResult, Subscription, Topic, Topology,
};

use super::report::{Report, milliseconds};
use super::waiting;
use crate::connect::within;
use crate::failure::Failure;

const SUBJECT: &str = "round trip";
/// How long the message has to come back; joining a group takes a few seconds on some brokers.
const PATIENCE: Duration = Duration::from_secs(30);

/// Creates the topic, sends and receives, and deletes the topic whatever happened.
pub(super) async fn make(broker: &Broker, report: &mut Report) -> Result<(), Failure> {
    let topic = Topic::new(format!("anybroker-doctor-{}", MessageId::new()))?;
    let group = Group::new("doctor")?;
    let made = waiting("round trip", there_and_back(broker, &topic, &group)).await;
    let deleted = within("round trip", broker.admin().delete(&topic)).await;
    match made {
        Ok((confirmed, received)) => {
            let text = format!(
                "a message was confirmed in {}, and received in {}",
                milliseconds(confirmed),
                milliseconds(received)
            );
            report.add(Diagnosis::new(SUBJECT, Finding::Fine, text))?;
        }
        Err(error) => report.fail(SUBJECT, &error)?,
    }
    match deleted {
        Err(error) if error.kind() != Kind::NotFound => {
            let text = format!("the topic {topic} could not be deleted: {error}");
            report.add(
                Diagnosis::new(SUBJECT, Finding::Warning, text)
                    .advice(format!("anybroker topics delete URL {topic}")),
            )
        }
        _ => Ok(()),
    }
}

/// How long the confirmation took, and the way to the consumer.
async fn there_and_back(broker: &Broker, topic: &Topic, group: &Group) -> BrokerResult<(Duration, Duration)> {
    broker.admin().declare(&Topology::new(topic.clone()).group(group.clone())).await?;
    let mut consumer = broker.consumer(Subscription::new(topic.clone(), group.clone())).await?;
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
    let message = Message::new("anybroker doctor").with_key("doctor");
    let (id, began) = (message.id.clone(), Instant::now());
    publisher.publish(message).await?;
    let confirmed = began.elapsed();
    let late = |_| Err(Error::new(Kind::TimedOut, "receive", format!("no message within {PATIENCE:?}")));
    let delivery = tokio::time::timeout(PATIENCE, consumer.next()).await.unwrap_or_else(late)?;
    let received = began.elapsed();
    if delivery.id() != Some(id) {
        return Err(Error::new(Kind::Unexpected, "receive", "another message came than the one published"));
    }
    delivery.ack().await?;
    publisher.close().await?;
    consumer.close().await?;
    Ok((confirmed, received))
}
