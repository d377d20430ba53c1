//! Consuming at most once. The server sends as fast as messages come; what the client cannot hold for a slow application
//! it drops, and `receive` says so.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use anybroker_core::kit::{self, Incoming, Session, SessionConsumer};
use anybroker_core::{
    Consumer, Delivery, Error, Kind, Publisher, RecordBuffer, Result, Settler, Subscription, async_trait,
};
use async_nats::Subscriber;
use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::coop::consume_budget;
use tokio::task::unconstrained;

use crate::link::Link;
use crate::member::closed;
use crate::permission::Action;
use crate::record::record;

/// What is taken over at once.
const CHUNK: usize = 256;

/// Subscribes; when this returns, the server knows of it.
pub(super) async fn open(
    link: Arc<Link>,
    subscription: Subscription,
    dead_letters: Option<Arc<dyn Publisher>>,
    closing: watch::Receiver<bool>,
) -> Result<Box<dyn Consumer>> {
    let client = link.client("receive")?;
    let dropped = link.dropped();
    let (topic, group) = (subscription.topic.to_string(), subscription.group.to_string());
    let forbidden = link.forbidden("receive", Action::Subscribe, |named| named == topic);
    let subscriber = async {
        let subscriber = client.queue_subscribe(topic.clone(), group).await.map_err(|error| {
            Error::new(Kind::Disconnected, "receive", "the subscription failed").with_source(error)
        })?;
        super::publisher::round_trip(&link).await?;
        Ok(subscriber)
    };
    let subscriber = kit::within(link.deadline, "receive", async {
        tokio::select! {
            subscriber = subscriber => subscriber,
            error = forbidden => Err(error),
        }
    })
    .await?;
    let session = Session::new(subscription, None, dead_letters);
    let reading = Reading::start(&session, subscriber);
    // It ends with the session.
    tokio::spawn(end(session.clone(), reading.clone(), closing));
    let inner = session.connect(reading.clone());
    let told = *dropped.borrow();
    Ok(Box::new(CoreConsumer { inner: Box::new(inner), reading, dropped, told }))
}

/// Ends the session when the broker handle is closed, and the subscription with the session.
async fn end(session: Arc<Session>, reading: Arc<Reading>, mut closing: watch::Receiver<bool>) {
    tokio::select! {
        () = session.end() => {}
        () = closed(&mut closing) => session.fail(is_closed()),
    }
    reading.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
}

fn is_closed() -> Error {
    Error::new(Kind::Closed, "receive", "the consumer is closed")
}

/// The subscription, which is read by whoever waits for messages: no task stands between the client's and the application's.
#[derive(Debug)]
struct Reading {
    session: Weak<Session>,
    /// None once the session has ended.
    reader: Mutex<Option<Reader>>,
    /// What the client wakes when a message comes.
    waker: Waker,
}

#[derive(Debug)]
struct Reader {
    subscriber: Subscriber,
    buffer: RecordBuffer,
    generation: u32,
    /// That of the last message.
    number: u64,
}

/// Wakes who waits for messages.
struct Announce(Weak<Session>);

impl Wake for Announce {
    fn wake(self: Arc<Self>) {
        if let Some(session) = self.0.upgrade() {
            session.announce();
        }
    }
}

impl Reading {
    fn start(session: &Arc<Session>, subscriber: Subscriber) -> Arc<Self> {
        let generation = session.assign(0);
        let reader = Reader { subscriber, buffer: RecordBuffer::new(), generation, number: 0 };
        let session = Arc::downgrade(session);
        let waker = Arc::new(Announce(session.clone())).into();
        Arc::new(Reading { session, reader: Mutex::new(Some(reader)), waker })
    }
}

impl Reader {
    /// Takes over what has come, at most so many; says how many. Where that is fewer, what comes next wakes.
    fn read(&mut self, session: &Session, most: usize, waker: &Waker) -> usize {
        let mut chunks = self.subscriber.by_ref().ready_chunks(most);
        // The session counts what is taken towards the application's turn.
        let chunk = pin!(unconstrained(chunks.next())).poll(&mut Context::from_waker(waker));
        let chunk = match chunk {
            Poll::Ready(Some(chunk)) => chunk,
            Poll::Ready(None) => {
                session.fail(is_closed());
                return 0;
            }
            Poll::Pending => return 0,
        };
        let (count, number) = (chunk.len(), &mut self.number);
        let incoming = chunk.into_iter().map(|message| {
            *number += 1;
            Incoming {
                record: record(&mut self.buffer, message),
                native: *number,
                offset: None,
                stored: 0,
                attempts: 0,
                redelivered: false,
            }
        });
        session.push_unannounced(0, self.generation, incoming);
        count
    }
}

/// Nothing is acknowledged: the server has forgotten what it sent.
#[async_trait]
impl kit::Link for Reading {
    fn refill(&self) -> usize {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(session), Some(reader)) = (self.session.upgrade(), reader.as_mut()) else { return 0 };
        match session.room().messages.min(CHUNK) {
            // What is settled wakes.
            0 => 0,
            most => reader.read(&session, most, &self.waker),
        }
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A session's consumer that tells what was dropped.
#[derive(Debug)]
struct CoreConsumer {
    inner: Box<SessionConsumer>,
    reading: Arc<Reading>,
    /// How many messages the client has dropped on this connection.
    dropped: watch::Receiver<u64>,
    /// How many of them have been told.
    told: u64,
}

#[async_trait]
impl Consumer for CoreConsumer {
    /// Fails once with `Throttled` when messages were dropped because the application was too slow, and goes on.
    async fn receive(&mut self, max: usize) -> Result<Vec<Delivery>> {
        // Also while there is something to be delivered again: nobody else takes what comes meanwhile.
        if kit::Link::refill(&*self.reading) > 0 {
            consume_budget().await;
        }
        let told = self.told;
        let dropped = tokio::select! {
            biased;
            Ok(dropped) = self.dropped.wait_for(|dropped| *dropped > told) => *dropped,
            received = self.inner.receive(max) => return received,
        };
        self.told = dropped;
        let count = dropped - told;
        let text =
            format!("at least {count} messages were dropped: they came faster than they were received");
        Err(Error::new(Kind::Throttled, "receive", text)
            .advice("add members to the group, raise buffer= in the URL, or use nats:// (JetStream)"))
    }

    fn settler(&self) -> Arc<dyn Settler> {
        self.inner.settler()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.inner.close().await
    }
}
