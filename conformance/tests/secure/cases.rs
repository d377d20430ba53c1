//! What every broker's cases are made of.

use std::time::{Duration, Instant};

use anybroker::{
    Broker, ConsumerExt, Error, Group, Kind, Message, MessageId, PublisherExt, PublisherOptions,
    Subscription, Topic, Topology,
};

use crate::Outcome;
use crate::secrets;

/// How long a refusal may take.
pub(crate) const SOON: Duration = Duration::from_secs(8);

/// A message goes through: published, consumed, acknowledged.
pub(crate) async fn round_trip(url: &str) -> Outcome {
    let broker = anybroker::connect(url).await.map_err(|e| format!("connect: {e}"))?;
    secrets::none_in(&format!("{broker:?}"))?;
    let outcome = through(&broker).await.map_err(|e| e.to_string());
    broker.close().await.map_err(|e| format!("close: {e}"))?;
    outcome
}

async fn through(broker: &Broker) -> Result<(), Error> {
    let (topic, group) = (Topic::new(format!("secure-{}", MessageId::new()))?, Group::new("readers")?);
    broker.admin().declare(&Topology::new(topic.clone()).group(group.clone())).await?;
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
    publisher.publish(Message::new("a secret thing").with_key("k")).await?;
    let mut consumer = broker.consumer(Subscription::new(topic.clone(), group.clone())).await?;
    let delivery = consumer.next().await?;
    if delivery.payload() != "a secret thing" {
        return Err(Error::new(Kind::Unexpected, "receive", "another payload came"));
    }
    delivery.ack().await?;
    consumer.close().await?;
    publisher.close().await?;
    let left = broker.admin().backlog(&topic, &group).await?;
    if left != 0 {
        return Err(Error::new(Kind::Unexpected, "backlog", format!("{left} are not acknowledged")));
    }
    broker.admin().delete(&topic).await
}

/// Connecting is refused soon, with this kind and these words, and without a secret.
pub(crate) async fn refused(url: &str, kind: Kind, words: &[&str]) -> Outcome {
    refused_by_either(url, &[(kind, words)]).await
}

/// The same where it is a matter of time which of these refusals the client hears.
pub(crate) async fn refused_by_either(url: &str, refusals: &[(Kind, &[&str])]) -> Outcome {
    let started = Instant::now();
    let Err(error) = anybroker::connect(url).await else {
        return Err("it should have been refused".to_owned());
    };
    let (text, took) = (format!("{error} {error:?}"), started.elapsed());
    secrets::none_in(&text)?;
    let Some((kind, words)) = refusals.iter().find(|(kind, _)| error.kind() == *kind) else {
        return Err(format!("one of {refusals:?} is expected: {text}"));
    };
    if let Some(missing) = words.iter().find(|word| !text.contains(**word)) {
        return Err(format!("it does not say `{missing}`: {text}"));
    }
    if took > SOON {
        return Err(format!("it took {took:?}: {text}"));
    }
    if error.is_retryable() && *kind != Kind::Disconnected && *kind != Kind::TimedOut {
        return Err(format!("it says that trying again helps: {text}"));
    }
    Ok(())
}
