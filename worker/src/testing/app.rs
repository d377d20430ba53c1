//! A worker under test.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::{
    Broker, Error, Event, Group, Kind, Message, MessageId, PublisherExt, PublisherOptions, Receipt, Result,
    Topic,
};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::happened::{Happened, Published, Treated};
use super::tracked::Tracked;
use crate::builder::Builder;
use crate::observe::{Happening, Observer};
use crate::worker::Worker;

/// How long nothing may happen before the broker is asked again.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(60);

/// A worker that runs beside a test.
#[derive(Debug)]
pub struct TestApp {
    broker: Broker,
    log: Arc<Log>,
    subscriptions: Vec<(Topic, Group)>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<()>>,
}

/// How long, in the runtime's time, a worker may take to become idle.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

impl TestApp {
    /// Starts the worker that `build` puts together over `broker`, and waits until it has joined its groups.
    ///
    /// # Errors
    /// As [`Builder::build`] and [`Worker::run`].
    ///
    /// # Cancel safety
    /// A cancelled call may leave the worker running until the runtime ends.
    pub async fn start(broker: Broker, build: impl FnOnce(Builder) -> Builder) -> Result<Self> {
        let log = Arc::new(Log::default());
        let tracked: Broker = Arc::new(Tracked { broker, log: log.clone() });
        let worker = build(Worker::builder(tracked.clone())).observe(log.clone()).build()?;
        let subscriptions: Vec<_> =
            worker.subscriptions().map(|it| (it.topic.clone(), it.group.clone())).collect();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(worker.run_until(async {
            let _ = stopped.await;
        }));
        let mut app = TestApp { broker: tracked, log, subscriptions, stop, running };
        let opened = app.subscriptions.len();
        tokio::select! {
            () = app.log.wait(|entries| entries.opened >= opened) => Ok(app),
            ended = &mut app.running => Err(early(ended)),
        }
    }

    /// The broker; what is published through it counts as published.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Publishes a message.
    ///
    /// # Errors
    /// As [`PublisherExt::publish`].
    ///
    /// # Cancel safety
    /// As [`PublisherExt::publish`].
    pub async fn publish(&self, topic: &Topic, message: Message) -> Result<Receipt> {
        let publisher = self.broker.publisher(PublisherOptions::new(topic.clone())).await?;
        let receipt = publisher.publish(message).await;
        publisher.close().await?;
        Ok(receipt?)
    }

    /// Publishes an event.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), and `Decode` if it cannot be written as JSON.
    ///
    /// # Cancel safety
    /// As [`publish`](Self::publish).
    pub async fn publish_event<E: Event + Sync>(&self, topic: &Topic, event: &E) -> Result<Receipt> {
        self.publish(topic, Message::event(event)?).await
    }

    /// Waits until the worker has nothing left to do, retries included, and tells what happened since the last call.
    ///
    /// # Errors
    /// What the worker ended with, if it did; `TimedOut` after a day of the runtime's time, which passes in no time where
    /// time is paused, with what still waits.
    ///
    /// # Cancel safety
    /// Cancel safe: what happened is told by the next call.
    pub async fn idle(&self) -> Result<Happened> {
        match tokio::time::timeout(PATIENCE, self.until_idle()).await {
            Ok(idle) => idle?,
            Err(_) => return Err(self.stuck().await),
        }
        Ok(std::mem::take(&mut self.log.entries().happened))
    }

    async fn until_idle(&self) -> Result<()> {
        let mut pause = SHORTEST;
        loop {
            if self.running.is_finished() {
                return Err(Error::new(
                    Kind::Closed,
                    "wait for the worker",
                    "it has ended; stop() tells why",
                ));
            }
            let before = self.log.entries().count;
            let changed = self.log.wait(|entries| entries.count > before);
            if self.waiting().await?.is_empty() && self.log.entries().count == before {
                return Ok(());
            }
            // Brokers take an acknowledgement after it was noted here: a look must not wait for the next happening.
            pause = match tokio::time::timeout(pause, changed).await {
                Ok(()) => SHORTEST,
                Err(_) => (pause * 2).min(LONGEST),
            };
        }
    }

    /// What the groups have not acknowledged.
    async fn waiting(&self) -> Result<Vec<String>> {
        let mut waiting = Vec::new();
        for (topic, group) in &self.subscriptions {
            let backlog = self.broker.admin().backlog(topic, group).await?;
            if backlog > 0 {
                waiting.push(format!("{backlog} messages of {topic} for {group}"));
            }
        }
        Ok(waiting)
    }

    async fn stuck(&self) -> Error {
        let waiting = self.waiting().await.unwrap_or_default().join(", ");
        let story = self.log.entries().happened.to_string();
        Error::new(Kind::TimedOut, "wait for the worker", format!("still waiting: {waiting}\n{story}"))
    }

    /// Ends the worker as a signal would.
    ///
    /// # Errors
    /// As [`Worker::run`].
    ///
    /// # Cancel safety
    /// Cancelled, the worker drains on its own.
    pub async fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        match self.running.await {
            Ok(ended) => ended,
            Err(panic) => {
                Err(Error::new(Kind::Unexpected, "stop the worker", "it panicked").with_source(panic))
            }
        }
    }
}

fn early(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Error {
    let text = "it ended before it had begun";
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => Error::new(Kind::Closed, "start the worker", text),
        Err(panic) => Error::new(Kind::Unexpected, "start the worker", text).with_source(panic),
    }
}

/// Notes what happens.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: Mutex<Entries>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    happened: Happened,
    opened: usize,
    count: u64,
    errors: HashMap<(Topic, Group, Option<MessageId>), String>,
}

impl Log {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(&self, ready: impl Fn(&Entries) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if ready(&self.entries()) {
                return;
            }
            changed.await;
        }
    }

    fn note(&self, note: impl FnOnce(&mut Entries)) {
        let mut entries = self.entries();
        entries.count += 1;
        note(&mut entries);
        drop(entries);
        self.changed.notify_waiters();
    }

    pub(super) fn published(&self, topic: &Topic, batch: &[Message]) {
        let published =
            batch.iter().map(|message| Published { topic: topic.clone(), message: message.clone() });
        self.note(|entries| entries.happened.published.extend(published));
    }
}

impl Observer for Log {
    fn observe(&self, topic: &Topic, group: &Group, happening: &Happening<'_>) {
        self.note(|entries| match happening {
            Happening::Opened => entries.opened += 1,
            Happening::Ended { delivery, result: Err(failure), .. } => {
                entries.errors.insert((topic.clone(), group.clone(), delivery.id()), failure.to_string());
            }
            Happening::Settled { delivery, outcome, result: Ok(_) } => {
                let error = entries.errors.remove(&(topic.clone(), group.clone(), delivery.id()));
                entries.happened.treated.push(Treated {
                    topic: topic.clone(),
                    group: group.clone(),
                    message: delivery.to_message(),
                    outcome: *outcome,
                    attempt: delivery.failures() + 1,
                    error,
                });
            }
            _ => {}
        });
    }
}
