//! The recorded publisher.

use std::sync::{Arc, Mutex, PoisonError};

use anybroker_core::kit::{Confirmations, Permit};
use anybroker_core::{Fate, Key, Message, Outcome, Publisher, Result, Topic, async_trait};

use super::{Recorder, fingerprint};
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

    fn invoked(&self, batch: &[Message]) {
        let topic = self.publisher.topic().as_str();
        self.recorder.batch(|write| {
            for message in batch {
                write(&Event::Publish(Publish {
                    m: message.id.to_string().into(),
                    publisher: self.name.as_str().into(),
                    topic: topic.into(),
                    key: message.key.as_ref().map(|key| fingerprint::text(key.as_bytes()).into()),
                    hash: fingerprint::payload(&message.payload).into(),
                    meta: Some(fingerprint::published(message).into()),
                    ..Publish::default()
                }));
            }
        });
    }
}

#[async_trait]
impl Publisher for RecordedPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.publisher.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let _calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        self.invoked(&batch);
        let ids: Vec<_> = batch.iter().map(|message| message.id.to_string()).collect();
        let recorder = self.recorder.clone();
        self.publisher.enqueue(permit, batch).inspect(move |outcomes| {
            recorder.batch(|write| {
                ids.iter().zip(outcomes).for_each(|(m, outcome)| write(&came_back(m, outcome)))
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

fn came_back<'a>(m: &'a str, outcome: &Outcome) -> Event<'a> {
    let (known, receipt) = match outcome {
        Ok(receipt) => (history::Outcome::Ok, Some(receipt)),
        Err(error) if error.error().fate() == Fate::NotApplied => (history::Outcome::Failed, None),
        Err(_) => (history::Outcome::Unknown, None),
    };
    Event::Published(Published {
        m: m.into(),
        outcome: known,
        position: receipt.and_then(|r| r.position).map(super::consumer::position),
        duplicate: receipt.filter(|r| r.duplicate).map(|_| true),
    })
}
