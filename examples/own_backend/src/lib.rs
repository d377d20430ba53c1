//! A backend of your own, outside of anybroker: a shelf of logs in this process, one for each topic.
//!
//! It depends on `anybroker-core` only. What is hard (order per key across negative acknowledgements, attempts, the
//! bounded window, dead letters, cancel safety) comes from the kit; what is written here moves records and
//! acknowledgements, and says honestly what is promised. `tests/conformance.rs` proves it.

mod guarantees;
mod member;
mod publisher;
mod shelf;

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::Session;
use anybroker_core::{
    Admin, Backend, Broker, Consumer, Error, Group, Guarantees, Kind, Publisher, PublisherOptions, Result,
    Start, Subscription, Topic, TopicInfo, Topology, async_trait,
};

use crate::guarantees::guarantees;
use crate::member::Member;
use crate::publisher::ShelfPublisher;
use crate::shelf::Shelf;

/// A new, empty broker.
pub fn connect() -> Broker {
    Arc::new(ShelfBroker::default())
}

#[derive(Debug, Default)]
struct ShelfBroker {
    shelf: Shelf,
}

#[async_trait]
impl Backend for ShelfBroker {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        let log = self.shelf.log(&options.topic)?;
        options.requirements.verify(&guarantees(), &format!("topic `{}`", options.topic))?;
        Ok(Arc::new(ShelfPublisher::new(&options, log)))
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        let log = self.shelf.log(&subscription.topic)?;
        let place = format!("topic `{}`, group `{}`", subscription.topic, subscription.group);
        subscription.requirements.verify(&guarantees(), &place)?;
        if subscription.start != Start::Resume {
            return Err(Error::new(Kind::Unsupported, "subscribe", "a group goes on where it was").on(place));
        }
        let dead_letters = match &subscription.dead_letter {
            Some(policy) => Some(self.publisher(PublisherOptions::new(policy.topic.clone())).await?),
            None => None,
        };
        let session = Session::new(subscription, None, dead_letters);
        let member = Arc::new(Member::join(log, session.clone()));
        // Ends with its session, which ends when the consumer is closed or dropped.
        tokio::spawn(member.clone().fetch());
        Ok(Box::new(session.connect(member)))
    }

    async fn guarantees(&self, topic: Option<&Topic>, _group: Option<&Group>) -> Result<Guarantees> {
        topic.map_or(Ok(()), |topic| self.shelf.log(topic).map(|_| ()))?;
        Ok(guarantees())
    }

    fn admin(&self) -> &dyn Admin {
        self
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Admin for ShelfBroker {
    async fn declare(&self, topology: &Topology) -> Result<()> {
        if let Some(other) = topology.partitions.filter(|partitions| *partitions != 1) {
            let text = format!("a topic has 1 partition, and {other} were asked for");
            return Err(Error::new(Kind::InvalidConfiguration, "declare", text));
        }
        let log = self.shelf.put(&topology.topic);
        topology.groups.iter().for_each(|group| _ = log.lock().groups.entry(group.clone()).or_default());
        Ok(())
    }

    async fn delete(&self, topic: &Topic) -> Result<()> {
        self.shelf.remove(topic)
    }

    async fn purge(&self, topic: &Topic) -> Result<()> {
        self.shelf.log(topic)?.lock().acknowledge_all();
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        Ok(self.shelf.topics())
    }

    async fn backlog(&self, topic: &Topic, group: &Group) -> Result<u64> {
        Ok(self.shelf.log(topic)?.lock().backlog(group))
    }

    async fn health(&self) -> Result<Duration> {
        Ok(Duration::ZERO)
    }
}
