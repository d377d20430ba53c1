//! Asking the server for messages of one partition: a bounded number at a time, never more than there is room for.

use std::task::{Context, Poll};
use std::time::Duration;

use anybroker_core::{Error, Kind, Result};
use async_nats::{Client, Message, Subject, Subscriber};
use futures::StreamExt;
use tokio::time::Instant;

use crate::streams::nanos;

/// How much later than it expires a request without an answer counts as lost.
const LATE: Duration = Duration::from_secs(2);

/// The requests of one lane.
#[derive(Debug)]
pub(crate) struct Pulls {
    /// `$JS.API.CONSUMER.MSG.NEXT.<stream>.<consumer>`.
    subject: Subject,
    inbox: String,
    subscriber: Subscriber,
    number: u64,
    /// How long a request waits at the server.
    expires: Duration,
    /// How many the last request was for.
    pub(crate) batch: usize,
    /// How many messages may still come.
    pub(crate) outstanding: usize,
    /// When what may still come certainly does not.
    void_at: Instant,
    /// How many the last message said to be waiting.
    pub(crate) waiting: u64,
}

/// What comes on a lane's inbox.
#[derive(Debug)]
pub(crate) enum Came {
    Message(Message),
    /// A request ended, with an error or because nothing more was there.
    Ended(Option<Error>),
    /// A sign of life.
    Alive,
}

impl Pulls {
    pub(crate) async fn open(
        client: &Client,
        stream: &str,
        consumer: &str,
        expires: Duration,
    ) -> Result<Self> {
        let inbox = client.new_inbox();
        let subscriber = client.subscribe(format!("{inbox}.*")).await.map_err(|error| {
            Error::new(Kind::Disconnected, "receive", "the inbox could not be opened").with_source(error)
        })?;
        Ok(Pulls {
            subject: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}").into(),
            inbox,
            subscriber,
            number: 0,
            expires,
            batch: 0,
            outstanding: 0,
            void_at: Instant::now(),
            waiting: 0,
        })
    }

    /// Asks for `batch` more.
    pub(crate) async fn ask(&mut self, client: &Client, batch: usize) -> Result<()> {
        self.number += 1;
        let request = format!("{{\"batch\":{batch},\"expires\":{}}}", nanos(self.expires));
        let reply = format!("{}.{}", self.inbox, self.number);
        let asked = client.publish_with_reply(self.subject.clone(), reply, request.into()).await;
        asked.map_err(|error| {
            Error::new(Kind::Disconnected, "receive", "messages could not be asked for").with_source(error)
        })?;
        self.outstanding += batch;
        self.batch = batch;
        self.void_at = Instant::now() + self.expires + LATE;
        Ok(())
    }

    /// What comes next.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Came>> {
        self.subscriber.poll_next_unpin(cx).map(|message| Some(self.came(message?)))
    }

    fn came(&mut self, message: Message) -> Came {
        let Some(status) = message.status else {
            self.outstanding = self.outstanding.saturating_sub(1);
            return Came::Message(message);
        };
        let left = message.headers.as_ref().and_then(|headers| headers.get("Nats-Pending-Messages"));
        let left = left.and_then(|left| left.as_str().parse().ok()).unwrap_or(self.outstanding);
        let text = message.description.as_deref().unwrap_or("");
        if status.as_u16() == 100 {
            return Came::Alive;
        }
        Came::Ended(match status.as_u16() {
            503 => {
                self.outstanding = 0;
                Some(Error::new(Kind::Disconnected, "receive", "the consumer does not answer"))
            }
            409 if text.to_lowercase().contains("consumer deleted") => {
                self.outstanding = 0;
                Some(Error::new(Kind::NotFound, "receive", "the consumer was deleted"))
            }
            _ => {
                self.outstanding = self.outstanding.saturating_sub(left);
                None
            }
        })
    }

    /// Forgets requests that the server cannot have any more.
    pub(crate) fn forget_late(&mut self, now: Instant) {
        if now >= self.void_at {
            self.outstanding = 0;
        }
    }

    /// Ends the inbox: what was asked for and has not come goes to nobody.
    pub(crate) async fn close(&mut self) -> Result<()> {
        self.outstanding = 0;
        self.subscriber.unsubscribe().await.map_err(|error| {
            Error::new(Kind::Disconnected, "receive", "the inbox could not be closed").with_source(error)
        })
    }
}
