//! Publishing at most once: a message counts as published when the server has read it. Whether anybody got it, nobody
//! says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::{Confirmations, Intake, Pending, Permit};
use anybroker_core::{
    Error, Key, Kind, Message, Publisher, PublisherOptions, Receipt, Result, Topic, async_trait,
};
use async_nats::{Client, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::guarantees::message_bytes;
use crate::link::Link;
use crate::publisher::refuse;
use crate::record::headers;

/// So many batches are on their way before the server must have read the first.
const ON_THE_WAY: usize = 8;

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
    while let Some(batch) = batches.recv().await {
        match link.up("publish", patience).await {
            Ok(epoch) => {
                let forbidden = link.forbidden("publish", &subject);
                // What is dropped in it ends as unknown.
                let mut sent = VecDeque::from([batch]);
                tokio::select! {
                    biased;
                    () = link.lost(epoch) => {}
                    error = forbidden => refuse(sent.drain(..).flatten(), &error),
                    () = serve(&link, &subject, &mut batches, &mut sent, patience) => {}
                }
            }
            Err(error) => refuse(batch, &error),
        }
    }
}

/// Sends batches on one connection, some while the server has not said that it has read those before, the first of which is
/// in `sent`. Ends when it says nothing for too long, and when there are no more.
async fn serve(
    link: &Link,
    subject: &Subject,
    batches: &mut mpsc::UnboundedReceiver<Vec<Pending>>,
    sent: &mut VecDeque<Vec<Pending>>,
    patience: Duration,
) {
    let mut echo = match Echo::open(link).await {
        Ok(echo) => echo,
        Err(error) => return refuse(sent.drain(..).flatten(), &error),
    };
    let (mut new, mut open) = (true, true);
    while open || !sent.is_empty() {
        if let Some(batch) = sent.back_mut().filter(|_| new) {
            while let Ok(more) = batches.try_recv() {
                batch.extend(more);
            }
            if timeout(patience, echo.send(subject, batch)).await.is_err() {
                return;
            }
        }
        let (waits, room) = (!sent.is_empty(), sent.len() < ON_THE_WAY);
        new = false;
        tokio::select! {
            biased;
            read = echo.answers.next(), if waits => match (read, sent.pop_front()) {
                (Some(_), Some(batch)) => batch.into_iter().for_each(|it| it.confirm(Receipt::default())),
                _ => return,
            },
            more = batches.recv(), if open && room => match more {
                Some(batch) => {
                    sent.push_back(batch);
                    new = true;
                }
                None => open = false,
            },
            () = sleep(patience), if waits => return,
        }
    }
}

/// Messages to ourselves: when one is back, the server has read everything before it.
struct Echo {
    client: Client,
    inbox: Subject,
    answers: Subscriber,
}

impl Echo {
    async fn open(link: &Link) -> Result<Self> {
        let client = link.client("publish")?;
        let inbox = Subject::from(client.new_inbox());
        let answers = client.subscribe(inbox.clone()).await.map_err(|error| broken().with_source(error))?;
        Ok(Echo { client, inbox, answers })
    }

    /// Sends a batch, and asks behind it.
    async fn send(&self, subject: &Subject, batch: &[Pending]) {
        for message in batch.iter().filter_map(Pending::message) {
            let (headers, payload) = (headers(message), message.payload.clone());
            let sent = self.client.publish_with_headers(subject.clone(), headers, payload).await;
            // The size has been looked at; the rest is the connection, and then nothing comes back either.
            if let Err(error) = sent {
                tracing::debug!(%error, "a message was not sent");
            }
        }
        self.ask().await;
    }

    /// Sends a message to ourselves.
    async fn ask(&self) {
        if let Err(error) = self.client.publish(self.inbox.clone(), Bytes::new()).await {
            tracing::debug!(%error, "a message to ourselves was not sent");
        }
    }
}

fn broken() -> Error {
    Error::new(Kind::Disconnected, "publish", "the connection ended")
}

/// Waits until the server has read everything that was sent before.
pub(super) async fn round_trip(link: &Link) -> Result<()> {
    let mut echo = Echo::open(link).await?;
    echo.ask().await;
    echo.answers.next().await.map(drop).ok_or_else(broken)
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
