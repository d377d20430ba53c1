//! The recorded publisher.

use std::sync::{Arc, Mutex, PoisonError};

use anybroker_core::kit::{Confirmations, Permit};
use anybroker_core::{Fate, Key, Message, Outcome, Publisher, Result, Topic, async_trait};

use super::copies::Named;
use super::{Recorder, SENTINEL, fingerprint};
use crate::history;
use crate::history::{Event, Publish, Published};

#[derive(Debug)]
pub(super) struct RecordedPublisher {
    publisher: Arc<dyn Publisher>,
    recorder: Arc<Recorder>,
    name: String,
    /// The order of the lines is the order of the calls.
    calls: Mutex<()>,
}

impl RecordedPublisher {
    pub(super) fn new(publisher: Arc<dyn Publisher>, recorder: Arc<Recorder>) -> Self {
        let name = recorder.name("publisher-");
        RecordedPublisher { publisher, recorder, name, calls: Mutex::new(()) }
    }

    /// Writes the lines of a batch; says how its messages are called in them.
    fn invoked(&self, batch: &[Message]) -> Vec<Named> {
        let topic = self.publisher.topic().as_str();
        let name = |message: &Message| self.recorder.copies.publish(message.id.to_string(), topic);
        let names: Vec<_> = batch.iter().map(name).collect();
        self.recorder.batch(|write| {
            let named = batch.iter().zip(&names);
            named
                .for_each(|(message, named)| write(&Event::Publish(line(&self.name, topic, message, named))));
        });
        names
    }
}

/// The line of a publish.
pub(super) fn line<'a>(
    publisher: &'a str,
    topic: &'a str,
    message: &Message,
    named: &'a Named,
) -> Publish<'a> {
    Publish {
        m: named.m.as_str().into(),
        dedup: named.dedup.as_deref().map(Into::into),
        sentinel: named.m.starts_with(SENTINEL).then_some(true),
        publisher: publisher.into(),
        topic: topic.into(),
        key: message.key.as_ref().map(|key| fingerprint::text(key.as_bytes()).into()),
        hash: fingerprint::payload(&message.payload).into(),
        meta: Some(fingerprint::published(message).into()),
        ..Publish::default()
    }
}

#[async_trait]
impl Publisher for RecordedPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.publisher.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let _calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.invoked(&batch);
        let recorder = self.recorder.clone();
        self.publisher.enqueue(permit, batch).inspect(move |outcomes| {
            recorder.batch(|write| {
                names.iter().zip(outcomes).for_each(|(m, outcome)| write(&came_back(&recorder, m, outcome)))
            });
        })
    }

    async fn flush(&self) -> Result<()> {
        self.publisher.flush().await
    }

    fn resume(&self, key: &Key) {
        self.publisher.resume(key);
    }

    fn topic(&self) -> &Topic {
        self.publisher.topic()
    }

    async fn close(&self) -> Result<()> {
        self.publisher.close().await
    }
}

fn came_back<'a>(recorder: &Recorder, named: &'a Named, outcome: &Outcome) -> Event<'a> {
    let (known, receipt) = match outcome {
        Ok(receipt) => (history::Outcome::Ok, Some(receipt)),
        Err(error) if error.error().fate() == Fate::NotApplied => (history::Outcome::Failed, None),
        Err(_) => (history::Outcome::Unknown, None),
    };
    let duplicate = receipt.is_some_and(|receipt| receipt.duplicate);
    let position = receipt.and_then(|receipt| receipt.position).map(super::consumer::position);
    Event::Published(Published {
        m: named.m.as_str().into(),
        outcome: known,
        position: position.and_then(|it| recorder.copies.confirmed(named, it, duplicate)),
        duplicate: duplicate.then_some(true),
    })
}
