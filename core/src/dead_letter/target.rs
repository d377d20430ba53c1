//! Where letters are replayed to, and what a confirmation proves there.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;

use super::Letter;
use crate::backend::Broker;
use crate::error::{Error, Kind, Result};
use crate::ext::PublisherExt;
use crate::guarantees::{Confirmation, Requirements};
use crate::message::Message;
use crate::publisher::{OnFailure, Outcome, PublisherOptions, Receipt, SharedPublisher};
use crate::topic::Topic;

/// The topics that letters are replayed to.
#[derive(Debug)]
pub(super) struct Targets {
    broker: Broker,
    topics: HashMap<Topic, Result<Target>>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Target {
    publisher: SharedPublisher,
    /// For how long the broker stores nothing under an id that it has had.
    window: Option<Duration>,
}

impl Targets {
    pub(super) fn new(broker: Broker) -> Self {
        Targets { broker, topics: HashMap::new() }
    }

    /// The topic, which is opened once; why it cannot be, is said each time.
    pub(super) async fn open(&mut self, topic: &Topic) -> Result<Target> {
        if !self.topics.contains_key(topic) {
            let opened = Target::open(&self.broker, topic).await;
            self.topics.insert(topic.clone(), opened);
        }
        match &self.topics[topic] {
            Ok(target) => Ok(target.clone()),
            Err(error) => Err(error.duplicate()),
        }
    }

    pub(super) async fn close(self) -> Result<()> {
        let opened = self.topics.into_values().flatten();
        let closed = opened.map(|target| async move { target.publisher.close().await });
        join_all(closed).await.into_iter().collect()
    }
}

impl Target {
    async fn open(broker: &Broker, topic: &Topic) -> Result<Self> {
        let confirmed = Requirements::new().publish_confirmation(Confirmation::Confirmed);
        let options = PublisherOptions::new(topic.clone()).require(confirmed);
        // What follows a failure is decided where the letters are.
        let publisher = broker.publisher(options.on_failure(OnFailure::Continue)).await?;
        let given = broker.guarantees(Some(topic), None).await?;
        Ok(Target { publisher, window: given.limits.deduplication_window })
    }

    /// Whether the broker may store nothing of it, and not say so: no position in its receipts would prove it.
    pub(super) fn is_early(&self, letter: &Letter) -> bool {
        let silent = letter.delivery().position().is_none();
        self.window.filter(|_| silent).zip(letter.died()).is_some_and(|(window, died)| {
            // A death in the future is one by another clock.
            died.elapsed().unwrap_or_default() < window
        })
    }

    pub(super) async fn publish(&self, messages: Vec<Message>) -> Vec<Outcome> {
        self.publisher.publish_batch(messages).await
    }
}

/// Whether the message is there because of this.
pub(super) fn stored(outcome: Outcome, new_ids: bool) -> Result<()> {
    match outcome {
        // Under an id that only this death gives, it is an earlier replay of this letter that the broker has had.
        Ok(Receipt { duplicate: true, .. }) if !new_ids => Err(remembered()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// It is not stored, for its id is known.
pub(super) fn remembered() -> Error {
    let text = "the broker stores nothing under an id that it has had lately";
    let advice = "replay it when the broker's deduplication window has passed, or under a new id (--new-id)";
    Error::new(Kind::Duplicate, "replay", text).advice(advice)
}
