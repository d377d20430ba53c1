//! Consuming at most once. The server sends as fast as messages come; what the client cannot hold for a slow application
//! it drops, and `receive` says so.

use std::sync::Arc;

use anybroker_core::kit::{self, Incoming, Session, SessionConsumer};
use anybroker_core::{
    Consumer, Delivery, Error, Kind, Publisher, RecordBuffer, Result, Settler, Subscription, async_trait,
};
use async_nats::Subscriber;
use futures::StreamExt;
use tokio::sync::watch;

use crate::link::Link;
use crate::member::closed;
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
    let forbidden = link.forbidden("receive", &topic);
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
    // It ends with the session.
    tokio::spawn(fill(session.clone(), subscriber, closing));
    let inner = session.connect(Arc::new(NoLink));
    let told = *dropped.borrow();
    Ok(Box::new(CoreConsumer { inner: Box::new(inner), dropped, told }))
}

/// Fills the session, as far as it has room.
async fn fill(session: Arc<Session>, subscriber: Subscriber, mut closing: watch::Receiver<bool>) {
    let generation = session.assign(0);
    let mut buffer = RecordBuffer::new();
    let mut number = 0;
    let ended = session.wait_until(|session| session.ended().map(|_| ()));
    let filling = async {
        let mut subscriber = subscriber;
        loop {
            let room = session.wait_for_room().await.messages.min(CHUNK);
            let Some(chunk) = subscriber.by_ref().ready_chunks(room).next().await else { return };
            let incoming = chunk.into_iter().map(|message| {
                number += 1;
                Incoming {
                    record: record(&mut buffer, message),
                    native: number,
                    offset: None,
                    stored: 0,
                    attempts: 0,
                    redelivered: false,
                }
            });
            session.push_all(0, generation, incoming);
        }
    };
    tokio::select! {
        () = ended => {}
        () = filling => {}
        () = closed(&mut closing) => {}
    }
    session.fail(Error::new(Kind::Closed, "receive", "the consumer is closed"));
}

/// Nothing is acknowledged: the server has forgotten what it sent.
struct NoLink;

#[async_trait]
impl kit::Link for NoLink {
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
    /// How many messages the client has dropped on this connection.
    dropped: watch::Receiver<u64>,
    /// How many of them have been told.
    told: u64,
}

#[async_trait]
impl Consumer for CoreConsumer {
    /// Fails once with `Throttled` when messages were dropped because the application was too slow, and goes on.
    async fn receive(&mut self, max: usize) -> Result<Vec<Delivery>> {
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
