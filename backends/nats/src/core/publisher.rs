//! Publishing at most once: a message counts as published when the server has read it. Whether anybody got it, nobody
//! says.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::{Confirmations, Intake, Pending, Permit};
use anybroker_core::{
    Error, Fate, Key, Kind, Message, Publisher, PublisherOptions, Receipt, Result, Topic, async_trait,
};
use async_nats::Subject;
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::guarantees::message_bytes;
use crate::link::Link;
use crate::publisher::refuse;
use crate::record::headers;

/// The publisher of one subject. An owned task does the sending; it ends with the publisher.
#[derive(Debug)]
pub(super) struct CorePublisher {
    intake: Intake,
    /// Not bounded itself: every message in it holds room in the intake's window.
    batches: mpsc::UnboundedSender<Vec<Pending>>,
    deadline: Duration,
}

impl CorePublisher {
    pub(super) fn start(link: Arc<Link>, options: &PublisherOptions, patience: Duration) -> Result<Self> {
        let (batches, receiver) = mpsc::unbounded_channel();
        let (deadline, most) = (link.deadline, message_bytes(&link.server()?, None));
        let subject = Subject::from(options.topic.as_str());
        // It ends when the sender of the batches is dropped.
        tokio::spawn(run(link, subject, receiver, patience));
        Ok(CorePublisher { intake: Intake::new(options, most), batches, deadline })
    }
}

async fn run(
    link: Arc<Link>,
    subject: Subject,
    mut batches: mpsc::UnboundedReceiver<Vec<Pending>>,
    patience: Duration,
) {
    while let Some(mut batch) = batches.recv().await {
        while let Ok(more) = batches.try_recv() {
            batch.extend(more);
        }
        match link.up("publish", patience).await {
            Ok(epoch) => {
                tokio::select! {
                    () = publish(&link, &subject, &mut batch) => {}
                    error = link.forbidden("publish", &subject) => refuse(batch.drain(..), &error),
                    // What was on its way ends as unknown.
                    () = link.lost(epoch) => {}
                    () = tokio::time::sleep(patience) => {}
                }
            }
            Err(error) => refuse(batch, &error),
        }
    }
}

/// Sends a batch and waits until the server has read it.
async fn publish(link: &Link, subject: &Subject, batch: &mut Vec<Pending>) {
    let Ok(client) = link.client("publish") else { return };
    for pending in batch.iter() {
        let Some(message) = pending.message() else { continue };
        let sent =
            client.publish_with_headers(subject.clone(), headers(message), message.payload.clone()).await;
        // The size has been looked at; the rest is the connection, and then the round trip fails too.
        if let Err(error) = sent {
            tracing::debug!(%error, "a message was not sent");
        }
    }
    match round_trip(link).await {
        Ok(()) => batch.drain(..).for_each(|pending| pending.confirm(Receipt::default())),
        Err(error) => {
            batch.drain(..).for_each(|pending| pending.fail(error.duplicate().with_fate(Fate::Unknown)));
        }
    }
}

/// A message to ourselves: when it is back, the server has read everything before it.
pub(super) async fn round_trip(link: &Link) -> Result<()> {
    let broken = || Error::new(Kind::Disconnected, "publish", "the connection ended");
    let client = link.client("publish")?;
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await.map_err(|error| broken().with_source(error))?;
    client.publish(inbox, bytes::Bytes::new()).await.map_err(|error| broken().with_source(error))?;
    echo.next().await.map(|_| ()).ok_or_else(broken)
}

#[async_trait]
impl Publisher for CorePublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.intake.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let (accepted, confirmations) = self.intake.accept(permit, batch);
        if let Err(refused) = self.batches.send(accepted) {
            refuse(refused.0, &Error::new(Kind::Closed, "publish", "the publisher is closed"));
        }
        confirmations
    }

    async fn flush(&self) -> Result<()> {
        self.intake.idle(self.deadline).await
    }

    fn resume(&self, key: &Key) {
        self.intake.resume(key);
    }

    fn topic(&self) -> &Topic {
        self.intake.topic()
    }

    async fn close(&self) -> Result<()> {
        if self.intake.close() { self.flush().await } else { Ok(()) }
    }
}
