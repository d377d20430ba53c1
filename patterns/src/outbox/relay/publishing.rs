//! From rows to confirmations.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use anybroker_core::{
    Broker, Error, Fate, Key, Kind, Message, Outcome, PublisherExt, PublisherOptions, Requirements, Result,
    SharedPublisher, Topic,
};
use futures::future::join_all;

use super::Progress;
use crate::outbox::{Finished, Refused, Row, Taken};

/// The most rows of which attempts are counted; of more, the count begins again.
const COUNTED_ROWS: usize = 100_000;

/// The publishers of a relay, a topic each.
#[derive(Debug)]
pub(super) struct Publishers {
    broker: Broker,
    requirements: Requirements,
    attempts: u32,
    open: tokio::sync::Mutex<HashMap<String, SharedPublisher>>,
    /// How often rows were refused for a reason that need not last.
    tried: Mutex<HashMap<i64, u32>>,
    progress: Arc<Progress>,
}

/// Rows of one topic, each with its message.
type Part = (Vec<Row>, Vec<Message>);

impl Publishers {
    pub(super) fn new(
        broker: Broker,
        requirements: Requirements,
        attempts: u32,
        progress: Arc<Progress>,
    ) -> Self {
        Publishers {
            broker,
            requirements,
            attempts,
            open: Default::default(),
            tried: Mutex::default(),
            progress,
        }
    }

    /// Publishes rows, in order per topic, and says what became of each; and why some are to be tried again.
    pub(super) async fn publish(&self, rows: Vec<Taken>) -> (Finished, Option<Error>) {
        let mut finished = Finished::default();
        let mut parts: BTreeMap<String, Part> = BTreeMap::new();
        for Taken { row, behind } in rows {
            if behind {
                finished.refused.push(follows(row));
                continue;
            }
            match row.message() {
                Ok(message) => {
                    let part = parts.entry(row.topic.clone()).or_default();
                    part.1.push(message);
                    part.0.push(row);
                }
                Err(error) => finished.refused.push(refused(row, &error)),
            }
        }
        // What follows a row that cannot be read waits behind it too.
        let held: Vec<_> =
            finished.refused.iter().map(|it| (it.row.topic.clone(), it.row.key.clone(), it.row.id)).collect();
        for (topic, part) in &mut parts {
            hold(topic, part, &held, &mut finished);
        }
        let outcomes = parts.into_iter().filter(|(_, part)| !part.0.is_empty());
        let outcomes = outcomes.map(|(topic, part)| self.publish_part(topic, part));
        let mut failure = None;
        for (rows, outcomes, publisher) in join_all(outcomes).await {
            for (row, outcome) in rows.into_iter().zip(outcomes) {
                let again = self.settle(row, outcome, &mut finished, publisher.as_ref());
                failure = failure.or(again);
            }
        }
        self.progress.done(0, 0, finished.refused.len());
        (finished, failure)
    }

    async fn publish_part(
        &self,
        topic: String,
        (rows, messages): Part,
    ) -> (Vec<Row>, Vec<Result<bool, Error>>, Option<SharedPublisher>) {
        let publisher = match self.publisher(&topic).await {
            Ok(publisher) => publisher,
            Err(error) => {
                let outcomes = rows.iter().map(|_| Err(error.duplicate())).collect();
                return (rows, outcomes, None);
            }
        };
        let outcomes = publisher.publish_batch(messages).await;
        let plain = |outcome: Outcome| outcome.map(|receipt| receipt.duplicate).map_err(Error::from);
        (rows, outcomes.into_iter().map(plain).collect(), Some(publisher))
    }

    /// Notes what became of a row; gives the error if it is to be tried again.
    fn settle(
        &self,
        row: Row,
        outcome: Result<bool, Error>,
        finished: &mut Finished,
        publisher: Option<&SharedPublisher>,
    ) -> Option<Error> {
        let error = match outcome {
            Ok(duplicate) => {
                self.progress.done(1, usize::from(duplicate), 0);
                self.forget(row.id);
                finished.done.push(row.id);
                return None;
            }
            Err(error) => error,
        };
        let key = row.key.clone().map(Key::from);
        if error.kind() == Kind::KeyHeld {
            finished.back.push(row);
            return None;
        }
        if hopeless(&error) || self.tried_enough(&row, &error) {
            tracing::warn!(id = row.id, topic = row.topic, %error, "a message of the outbox is set aside");
            finished.refused.push(refused(row, &error));
            self.resume(publisher, key);
            return None;
        }
        finished.back.push(row);
        self.resume(publisher, key);
        Some(error)
    }

    /// What comes after it waits in the table; the publisher need not hold the key as well.
    fn resume(&self, publisher: Option<&SharedPublisher>, key: Option<Key>) {
        if let (Some(publisher), Some(key)) = (publisher, key) {
            publisher.resume(&key);
        }
    }

    /// A reason that need not last has lasted.
    fn tried_enough(&self, row: &Row, error: &Error) -> bool {
        if error.is_retryable() || error.fate() == Fate::Unknown {
            return false;
        }
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.len() >= COUNTED_ROWS {
            tried.clear();
        }
        let count = tried.entry(row.id).or_default();
        *count += 1;
        let enough = *count >= self.attempts;
        if enough {
            tried.remove(&row.id);
        }
        enough
    }

    fn forget(&self, id: i64) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if !tried.is_empty() {
            tried.remove(&id);
        }
    }

    async fn publisher(&self, topic: &str) -> Result<SharedPublisher> {
        let mut open = self.open.lock().await;
        if let Some(publisher) = open.get(topic) {
            return Ok(publisher.clone());
        }
        let options = PublisherOptions::new(Topic::new(topic)?).require(self.requirements.clone());
        let publisher = self.broker.publisher(options).await?;
        open.insert(topic.to_owned(), publisher.clone());
        Ok(publisher)
    }

    /// Closes what is open.
    pub(super) async fn close(&self) -> Result<()> {
        let open = std::mem::take(&mut *self.open.lock().await);
        join_all(open.values().map(|publisher| publisher.close())).await.into_iter().collect()
    }
}

/// Takes out of a topic's rows those whose key has an earlier one that is set aside.
fn hold(topic: &str, part: &mut Part, held: &[(String, Option<Vec<u8>>, i64)], finished: &mut Finished) {
    let waits = |row: &Row| {
        held.iter().any(|(t, key, id)| t == topic && key.is_some() && *key == row.key && *id < row.id)
    };
    if !part.0.iter().any(waits) {
        return;
    }
    let (rows, messages) = std::mem::take(part);
    for (row, message) in rows.into_iter().zip(messages) {
        if waits(&row) {
            finished.refused.push(follows(row));
        } else {
            part.0.push(row);
            part.1.push(message);
        }
    }
}

/// No broker will ever take it as it is.
fn hopeless(error: &Error) -> bool {
    matches!(error.kind(), Kind::TooLarge | Kind::Decode)
}

fn refused(row: Row, error: &Error) -> Refused {
    Refused { row, reason: error.to_string(), behind: false }
}

fn follows(row: Row) -> Refused {
    Refused { row, reason: "an earlier message of its key is set aside".into(), behind: true }
}
