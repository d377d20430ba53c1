//! `ruststream`'s subscribers, each served on a task of its own, as its own runtime does, until it is closed.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::try_join_all;
use ruststream::{ConnectedBroker, IncomingMessage, Subscriber};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Result;
use crate::contender::Consume;
use crate::harness::Handler;

/// Messages that are taken over, and acknowledged, at once.
const CHUNK: usize = 128;

pub(super) struct Background<B, S> {
    broker: B,
    waiting: Vec<S>,
    running: JoinSet<Result<()>>,
    end: watch::Sender<bool>,
    /// Whether the broker knows acknowledgements.
    acknowledges: bool,
    target: u64,
}

impl<B, S> Background<B, S> {
    pub(super) fn new(broker: B, subscribers: Vec<S>) -> Self {
        let (end, running) = (watch::Sender::new(false), JoinSet::new());
        Background { broker, waiting: subscribers, running, end, acknowledges: true, target: 0 }
    }

    /// On a broker that has nothing to acknowledge.
    pub(super) fn without_acknowledgements(broker: B, subscribers: Vec<S>) -> Self {
        Background { acknowledges: false, ..Self::new(broker, subscribers) }
    }
}

async fn serve<S: Subscriber>(
    mut subscriber: S,
    handler: Arc<Handler>,
    mut end: watch::Receiver<bool>,
    acknowledges: bool,
) -> Result<()> {
    let mut chunks = pin!(subscriber.stream().ready_chunks(CHUNK));
    loop {
        let chunk = tokio::select! {
            biased;
            _ = end.wait_for(|end| *end) => return Ok(()),
            chunk = chunks.next() => chunk.ok_or("the subscription has ended")?,
        };
        let mut handled = Vec::with_capacity(chunk.len());
        for message in chunk {
            let message = message?;
            handler.handle(message.payload());
            if acknowledges {
                handled.push(message.ack());
            }
        }
        try_join_all(handled).await?;
    }
}

#[async_trait]
impl<B, S> Consume for Background<B, S>
where
    B: ConnectedBroker + Send + 'static,
    S: Subscriber + Send + 'static,
{
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        for subscriber in self.waiting.drain(..) {
            let end = self.end.subscribe();
            self.running.spawn(serve(subscriber, handler.clone(), end, self.acknowledges));
        }
        self.target += count;
        tokio::select! {
            () = handler.handled(self.target) => Ok(()),
            ended = self.running.join_next() => Err(format!("a subscriber ended: {ended:?}").into()),
        }
    }

    async fn close(mut self: Box<Self>) -> Result<()> {
        self.end.send_replace(true);
        while let Some(ended) = self.running.join_next().await {
            ended??;
        }
        self.broker.shutdown().await?;
        Ok(())
    }
}
