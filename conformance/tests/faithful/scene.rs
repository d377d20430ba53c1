//! A topic of its own on one broker, on which one question is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anybroker::{
    Broker, Consumer, ConsumerExt as _, Delivery, DeliveryLevel, Error, Group, Guarantees, Kind, Level as _,
    Message, Outcome, Publisher, PublisherExt as _, PublisherOptions, Redelivery, Result, Subscription,
    Topic, Topology,
};
use anybroker_conformance::proxy::Proxy;
use anybroker_conformance::run::restore;
use anybroker_conformance::subject::Subject;
use tokio::time::timeout;

/// How long a message that has to come may take: longer than every time-out of the brokers.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same where messages that have no receiver are lost.
const LOSES: Duration = Duration::from_secs(2);
/// For so long nothing comes where nothing more comes.
const QUIET: Duration = Duration::from_secs(3);

/// What a question is asked with.
pub(crate) struct Scene {
    subject: Subject,
    pub(crate) broker: Broker,
    guarantees: Guarantees,
    pub(crate) topic: Topic,
    pub(crate) group: Group,
    patience: Duration,
}

impl Scene {
    /// Declares a topic, without a group.
    pub(crate) async fn new(subject: &Subject, name: &str) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let broker = subject.connect()().await?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let topic = Topic::new(format!("faithful-{name}-{}-{number}", std::process::id()))?;
        let group = Group::new("g")?;
        broker.admin().declare(&Topology::new(topic.clone())).await?;
        let guarantees = broker.guarantees(Some(&topic), None).await?;
        let kept = guarantees.delivery.value.satisfies(DeliveryLevel::AtLeastOnce);
        let patience = if kept { PATIENCE } else { LOSES };
        Ok(Scene { subject: subject.clone(), broker, guarantees, topic, group, patience })
    }

    /// Deletes the topic.
    pub(crate) async fn tidy(&self) {
        // What a question leaves behind says nothing about its answer.
        let _ = self.broker.admin().delete(&self.topic).await;
        let _ = self.broker.close().await;
    }

    /// Declares a group.
    pub(crate) async fn declare(&self, group: &Group) -> Result<()> {
        self.broker.admin().declare(&Topology::new(self.topic.clone()).group(group.clone())).await
    }

    pub(crate) fn subscription(&self) -> Subscription {
        Subscription::new(self.topic.clone(), self.group.clone())
    }

    /// A member of the group, which is declared.
    pub(crate) async fn join(&self) -> Result<Box<dyn Consumer>> {
        self.declare(&self.group).await?;
        self.broker.consumer(self.subscription()).await
    }

    /// A member of the group, for which these messages are there: published before it joins, where they are kept.
    pub(crate) async fn join_with(&self, messages: &[(&str, &str)]) -> Result<Box<dyn Consumer>> {
        self.join_on(&self.broker, messages).await
    }

    /// The same, on another connection.
    pub(crate) async fn join_on(
        &self,
        broker: &Broker,
        messages: &[(&str, &str)],
    ) -> Result<Box<dyn Consumer>> {
        self.declare(&self.group).await?;
        if self.keeps() {
            self.publish(messages).await?;
            return broker.consumer(self.subscription()).await;
        }
        let member = broker.consumer(self.subscription()).await?;
        self.publish(messages).await?;
        Ok(member)
    }

    /// Whether messages are kept for members to come.
    fn keeps(&self) -> bool {
        self.guarantees.delivery.value.satisfies(DeliveryLevel::AtLeastOnce)
    }

    pub(crate) async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        self.broker.publisher(PublisherOptions::new(self.topic.clone())).await
    }

    /// Publishes messages of these ids and keys, one after the other, all confirmed.
    pub(crate) async fn publish(&self, messages: &[(&str, &str)]) -> Result<()> {
        let publisher = self.publisher().await?;
        for (id, key) in messages {
            publisher.publish(message(id, key)).await?;
        }
        publisher.close().await
    }

    /// Another connection to the same broker.
    pub(crate) async fn reconnect(&self) -> Result<Broker> {
        self.subject.connect()().await
    }

    /// Kills the broker and starts it again, with the data that it had. One in memory has nothing that could die.
    pub(crate) async fn restart(&self) -> Result<()> {
        let Ok(faults) = self.subject.faults() else { return Ok(()) };
        let told = |why: String| Error::new(Kind::Unexpected, "restart", why);
        faults.kill().await.map_err(told)?;
        faults.restart().await.map_err(told)
    }

    /// A connection that can be cut for ever. One in memory has none, and its members can only vanish.
    pub(crate) async fn apart(&self) -> Result<Apart> {
        let Ok(detour) = self.subject.detour() else {
            return Ok(Apart { broker: self.reconnect().await?, proxy: None });
        };
        let told = |why: std::io::Error| Error::new(Kind::Unexpected, "detour", why.to_string());
        let (proxy, connect) = detour().await.map_err(told)?;
        Ok(Apart { broker: connect().await?, proxy: Some(proxy) })
    }

    /// Receives this many; fewer where nothing more comes.
    pub(crate) async fn take(&self, consumer: &mut Box<dyn Consumer>, count: usize) -> Result<Vec<Delivery>> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let wait = if taken.is_empty() { self.patience } else { QUIET };
            match timeout(wait, consumer.receive(count - taken.len())).await {
                Ok(batch) => taken.extend(batch?),
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    /// The same, one by one, each acknowledged; their ids.
    pub(crate) async fn take_and_ack(
        &self,
        consumer: &mut Box<dyn Consumer>,
        most: usize,
    ) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        while ids.len() < most {
            let wait = if ids.is_empty() { self.patience } else { QUIET };
            let Ok(delivery) = timeout(wait, consumer.next()).await else { break };
            let delivery = delivery?;
            ids.push(id(&delivery));
            delivery.ack().await?;
        }
        Ok(ids)
    }

    /// The next message, if one comes.
    pub(crate) async fn next(&self, consumer: &mut Box<dyn Consumer>) -> Result<Option<Delivery>> {
        timeout(self.patience, consumer.next()).await.ok().transpose()
    }
}

/// A connection that can be cut for ever.
pub(crate) struct Apart {
    pub(crate) broker: Broker,
    proxy: Option<Proxy>,
}

impl Apart {
    /// Cuts it. What was opened on it must not be closed before the answer is there.
    pub(crate) fn cut(&mut self, consumer: Box<dyn Consumer>) -> Option<Box<dyn Consumer>> {
        // A proxy's connections end with it.
        self.proxy.take().map(|_| consumer)
    }
}

pub(crate) fn message(id: &str, key: &str) -> Message {
    Message::new(id.to_owned()).with_id(id.to_owned()).with_key(key.to_owned())
}

pub(crate) fn id(delivery: &Delivery) -> String {
    delivery.id().map(|id| id.to_string()).unwrap_or_default()
}

/// Ids in a text.
pub(crate) fn list(ids: &[String]) -> String {
    if ids.is_empty() { "nothing".to_owned() } else { ids.join(", ") }
}

/// An error in a text.
pub(crate) fn refused(error: &Error) -> String {
    format!("refused: {}", error.kind().as_str())
}

/// The outcome of a publish in a text.
pub(crate) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Ok(receipt) if receipt.duplicate => "confirmed as a duplicate".to_owned(),
        Ok(_) => "confirmed".to_owned(),
        Err(error) => refused(error.error()),
    }
}

impl Scene {
    /// How often a delivery says that it was tried, and whether it is marked. Where only a flag is promised across
    /// sessions, what was received and never tried may count too.
    pub(crate) fn marks(&self, delivery: &Delivery) -> String {
        let mark = if delivery.redelivered() { "marked" } else { "unmarked" };
        let attempt = match (delivery.attempt(), self.guarantees.redelivery.value) {
            (2.., Redelivery::Flag) => "2 or more".to_owned(),
            (attempt, _) => attempt.to_string(),
        };
        format!("{} attempt {attempt}, {mark}", id(delivery))
    }
}

/// Brings the broker back, however far the one that failed came: those that follow need it.
pub(crate) async fn mended<T>(subject: &Subject, why: String) -> std::result::Result<T, String> {
    match restore(subject).await {
        Ok(()) => Err(why),
        Err(away) => Err(format!("{why}; {away}")),
    }
}
