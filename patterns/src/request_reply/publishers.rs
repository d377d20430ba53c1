//! Publishers of reply topics: opened on first use, and not more than a bounded number of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::{
    Broker, Error, Fate, Kind, Message, OnFailure, PublisherExt as _, PublisherOptions, Requirements, Result,
    SharedPublisher, Topic,
};
use tokio::sync::OnceCell;

/// After this time without a confirmation it is asked whether the topic is still there.
const SLOW: Duration = Duration::from_secs(2);

/// Reply topics that are kept open. More are open only while replies to more are under way.
const MOST: usize = 64;

pub(super) struct Publishers {
    broker: Broker,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    by_topic: HashMap<Topic, Kept>,
    /// Counts uses: the least recent one goes first.
    uses: u64,
}

struct Kept {
    publisher: Lent,
    used: u64,
}

/// A publisher in use, or about to be opened.
type Lent = Arc<OnceCell<SharedPublisher>>;

impl Publishers {
    pub(super) fn new(broker: Broker) -> Self {
        Publishers { broker, open: Mutex::default() }
    }

    /// The publisher of a reply topic; it stays open while what is returned is held.
    async fn of(&self, topic: &Topic) -> Result<(Lent, SharedPublisher)> {
        let (lent, unused) = self.lend(topic);
        close(unused).await;
        let publisher = lent.get_or_try_init(|| self.open(topic)).await?.clone();
        Ok((lent, publisher))
    }

    fn lend(&self, topic: &Topic) -> (Lent, Option<Lent>) {
        let mut open = self.lock();
        open.uses += 1;
        let used = open.uses;
        let unused = match open.by_topic.contains_key(topic) {
            false if open.by_topic.len() >= MOST => open.take_unused(),
            _ => None,
        };
        let kept =
            open.by_topic.entry(topic.clone()).or_insert_with(|| Kept { publisher: Lent::default(), used });
        kept.used = used;
        (kept.publisher.clone(), unused)
    }

    async fn open(&self, topic: &Topic) -> Result<SharedPublisher> {
        // Opening creates a missing topic where the connection is told to create what is missing: nobody would ever read
        // from this one.
        self.look(topic).await?;
        let options = PublisherOptions::new(topic.clone()).require(Requirements::new());
        self.broker.publisher(options.on_failure(OnFailure::Continue)).await
    }

    /// Fails with `NotFound` if the topic is certainly gone; whatever else the question fails with says nothing.
    async fn look(&self, topic: &Topic) -> Result<()> {
        match self.broker.admin().groups(topic).await {
            Err(error) if error.kind() == Kind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Publishes a reply, confirmed. After a failure the publisher is given up: the next one is opened anew, and finds out
    /// whether the topic is there.
    ///
    /// # Errors
    /// `NotFound` if the topic is gone, otherwise as publishing.
    pub(super) async fn publish(&self, topic: &Topic, reply: Message) -> Result<()> {
        let (lent, publisher) = self.of(topic).await?;
        let mut publish = publisher.publish(reply);
        let outcome = loop {
            match tokio::time::timeout(SLOW, &mut publish).await {
                Ok(outcome) => break outcome.map(drop).map_err(Error::from),
                // Some clients go on for minutes to look for a topic that was deleted.
                Err(_) => match self.look(topic).await {
                    Ok(()) => {}
                    Err(gone) => break Err(gone),
                },
            }
        };
        if outcome.as_ref().is_err_and(|error| !is_hopeless(error)) {
            self.give_up(topic, &lent);
        }
        outcome
    }

    /// Whoever else is publishing with it goes on; with the last of them it ends.
    fn give_up(&self, topic: &Topic, lent: &Lent) {
        let mut open = self.lock();
        if open.by_topic.get(topic).is_some_and(|kept| Arc::ptr_eq(&kept.publisher, lent)) {
            open.by_topic.remove(topic);
        }
    }

    /// Closes all.
    pub(super) async fn close(&self) -> Result<()> {
        let open = std::mem::take(&mut self.lock().by_topic);
        let publishers = open.values().filter_map(|kept| kept.publisher.get());
        futures::future::join_all(publishers.map(|publisher| publisher.close())).await.into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn take_unused(&mut self) -> Option<Lent> {
        let unused = self.by_topic.iter().filter(|(_, kept)| Arc::strong_count(&kept.publisher) == 1);
        let topic = unused.min_by_key(|(_, kept)| kept.used).map(|(topic, _)| topic.clone())?;
        self.by_topic.remove(&topic).map(|kept| kept.publisher)
    }
}

/// Whether a reply fails whenever it is published.
pub(super) fn is_hopeless(error: &Error) -> bool {
    matches!(error.kind(), Kind::TooLarge | Kind::InvalidConfiguration) && error.fate() == Fate::NotApplied
}

async fn close(lent: Option<Lent>) {
    let Some(publisher) = lent.as_ref().and_then(|lent| lent.get()) else { return };
    if let Err(error) = publisher.close().await {
        tracing::debug!(%error, "the publisher of a reply topic did not close well");
    }
}
