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
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::NatsConfig;
use crate::guarantees::message_bytes;
use crate::link::Link;
use crate::permission::Action;
use crate::publisher::refuse;
use crate::record::headers;
use crate::sending::{unanswered, unsent};

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
    pub(super) fn start(link: Arc<Link>, options: &PublisherOptions, config: &NatsConfig) -> Result<Self> {
        let (batches, receiver) = mpsc::unbounded_channel();
        let (deadline, largest) = (link.deadline, message_bytes(&link.server()?, None));
        let subject = Subject::from(options.topic.as_str());
        // What comes back waits in a buffer of the client.
        let (patience, most) = (config.publish_deadline, ON_THE_WAY.min(config.buffer));
        // It ends when the sender of the batches is dropped.
        tokio::spawn(Sender { link, subject, patience, most }.run(receiver));
        Ok(CorePublisher { intake: Intake::new(options, largest), batches, deadline })
    }
}

/// What the task needs.
struct Sender {
    link: Arc<Link>,
    subject: Subject,
    /// How long a message waits for the connection, and a batch for its answer.
    patience: Duration,
    /// So many batches are on their way at most before the server must have read the first.
    most: usize,
}

/// A batch on its way.
struct Sent {
    /// What comes back when the server has read it.
    number: u64,
    until: Instant,
    batch: Vec<Pending>,
}

impl Sender {
    async fn run(self, mut batches: mpsc::UnboundedReceiver<Vec<Pending>>) {
        while let Some(batch) = batches.recv().await {
            match self.link.up("publish", self.patience).await {
                Ok(epoch) => self.turn(epoch, batch, &mut batches).await,
                Err(error) => {
                    refuse(batch, &error);
                    // They have waited as well.
                    while let Ok(batch) = batches.try_recv() {
                        refuse(batch, &error);
                    }
                }
            }
        }
    }

    /// One connection's turn. What is on its way at the end of it ends as unknown.
    async fn turn(
        &self,
        epoch: u64,
        first: Vec<Pending>,
        batches: &mut mpsc::UnboundedReceiver<Vec<Pending>>,
    ) {
        let concerns = |named: &str| named == self.subject.as_str();
        let forbidden = self.link.forbidden("publish", Action::Publish, concerns);
        let mut sent = VecDeque::new();
        tokio::select! {
            biased;
            () = self.link.lost(epoch) => {}
            error = forbidden => refuse(sent.drain(..).flat_map(|it: Sent| it.batch), &error),
            () = self.serve(first, batches, &mut sent) => {}
        }
    }

    /// Sends batches, some while the server has not said that it has read those before. Ends when it says nothing for too long,
    /// and when there are no more.
    async fn serve(
        &self,
        first: Vec<Pending>,
        batches: &mut mpsc::UnboundedReceiver<Vec<Pending>>,
        sent: &mut VecDeque<Sent>,
    ) {
        let mut echo = match timeout(self.patience, Echo::open(&self.link)).await {
            Ok(Ok(echo)) => echo,
            Ok(Err(error)) => return refuse(first, &error),
            Err(_) => {
                return refuse(first, &Error::new(Kind::TimedOut, "publish", "the server reads nothing"));
            }
        };
        let (mut next, mut open) = (Some(first), true);
        while open || !sent.is_empty() {
            if let Some(mut batch) = next.take() {
                while let Ok(more) = batches.try_recv() {
                    batch.extend(more);
                }
                let (number, until) = (echo.next(), Instant::now() + self.patience);
                sent.push_back(Sent { number, until, batch });
                let Some(last) = sent.back_mut() else { return };
                if timeout(self.patience, echo.send(&self.subject, last)).await.is_err() {
                    return self.give_up(sent);
                }
            }
            let until = sent.front().map(|first| first.until);
            tokio::select! {
                biased;
                read = echo.answers.next(), if until.is_some() => {
                    let number = read.and_then(|message| number(&message.payload));
                    let first = sent.pop_front().filter(|first| number == Some(first.number));
                    let Some(first) = first else { return };
                    first.batch.into_iter().for_each(|pending| pending.confirm(Receipt::default()));
                }
                batch = batches.recv(), if open && sent.len() < self.most => {
                    open = batch.is_some();
                    next = batch;
                }
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    return self.give_up(sent);
                }
            }
        }
    }

    /// The server has been silent for too long.
    fn give_up(&self, sent: &mut VecDeque<Sent>) {
        unanswered(sent.drain(..).flat_map(|it| it.batch), self.patience);
    }
}

/// Messages to ourselves: when one is back, the server has read everything before it.
struct Echo {
    client: Client,
    inbox: Subject,
    answers: Subscriber,
    /// So many were asked for.
    asked: u64,
}

impl Echo {
    async fn open(link: &Link) -> Result<Self> {
        let client = link.client("publish")?;
        let inbox = Subject::from(client.new_inbox());
        let answers = client.subscribe(inbox.clone()).await.map_err(|error| broken().with_source(error))?;
        Ok(Echo { client, inbox, answers, asked: 0 })
    }

    fn next(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// Sends a batch, and asks behind it. What is not sent fails, and is left out.
    async fn send(&self, subject: &Subject, sent: &mut Sent) {
        let mut at = 0;
        while let Some(pending) = sent.batch.get(at) {
            match self.send_one(subject, pending).await {
                Ok(()) => at += 1,
                Err(error) => sent.batch.remove(at).fail(error),
            }
        }
        self.ask(sent.number).await;
    }

    /// # Errors
    /// Why it is not sent.
    async fn send_one(&self, subject: &Subject, pending: &Pending) -> Result<()> {
        let Some(message) = pending.message() else { return Ok(()) };
        if let Some(refusal) = pending.refusal() {
            return Err(refusal);
        }
        let (headers, payload) = (headers(message), message.payload.clone());
        let sent = self.client.publish_with_headers(subject.clone(), headers, payload).await;
        sent.map_err(unsent)
    }

    async fn ask(&self, number: u64) {
        let payload = Bytes::copy_from_slice(&number.to_be_bytes());
        if let Err(error) = self.client.publish(self.inbox.clone(), payload).await {
            tracing::debug!(%error, "a message to ourselves was not sent");
        }
    }
}

fn number(payload: &[u8]) -> Option<u64> {
    payload.try_into().ok().map(u64::from_be_bytes)
}

fn broken() -> Error {
    Error::new(Kind::Disconnected, "publish", "the connection ended")
}

/// Waits until the server has read everything that was sent before.
pub(super) async fn round_trip(link: &Link) -> Result<()> {
    let mut echo = Echo::open(link).await?;
    echo.ask(0).await;
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
