//! What people call: one message at a time, batches, streams.

use std::collections::VecDeque;

use async_trait::async_trait;
use futures::stream::{Stream, StreamExt};

use crate::consumer::Consumer;
use crate::delivery::Delivery;
use crate::error::{Error, Kind, Result};
use crate::kit::Permit;
use crate::message::{Event, Message};
use crate::publisher::{Outcome, PublishError, Publisher, Receipt};

/// Conveniences for every [`Publisher`].
#[async_trait]
pub trait PublisherExt: Publisher {
    /// Publishes one message and waits for the broker's confirmation.
    ///
    /// Loops that await this are bound by the round trip; use [`publish_batch`](Self::publish_batch) or
    /// [`publish_all`](Self::publish_all) for throughput.
    ///
    /// # Errors
    /// A [`PublishError`] with the message and the fate: `KeyHeld`, `TooLarge`, `NotFound`, `TimedOut`, `Disconnected`, …
    ///
    /// # Cancel safety
    /// Before the message is enqueued nothing has happened; after that it is on its way all the same.
    async fn publish(&self, message: Message) -> Result<Receipt, PublishError> {
        let permit = match self.ready(1, message.size()).await {
            Ok(permit) => permit,
            Err(error) => return Err(PublishError::new(error, message)),
        };
        let mut outcomes = self.enqueue(permit, vec![message]).await;
        // One outcome a message is the contract of `enqueue`.
        outcomes.pop().unwrap_or(Ok(Receipt::default()))
    }

    /// Publishes an event as JSON and waits for the confirmation.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), and `Decode` if it cannot be written as JSON.
    ///
    /// # Cancel safety
    /// As [`publish`](Self::publish).
    async fn publish_event<E: Event + Sync>(&self, event: &E) -> Result<Receipt> {
        self.publish(Message::event(event)?).await.map_err(Error::from)
    }

    /// Publishes a batch in order and waits for all confirmations: one outcome a message, in order.
    /// Batches of any size are taken in portions that fit the window.
    ///
    /// # Cancel safety
    /// Messages already enqueued are on their way; the others have not been touched.
    async fn publish_batch(&self, mut batch: Vec<Message>) -> Vec<Outcome> {
        let mut waiting = Vec::new();
        while !batch.is_empty() {
            let portion: Vec<_> = batch.drain(..batch.len().min(PORTION)).collect();
            waiting.push(enqueue(self, portion).await);
        }
        let mut outcomes = Vec::new();
        for portion in waiting {
            match portion {
                Ok(confirmations) => outcomes.extend(confirmations.await),
                Err(refused) => outcomes.extend(refused),
            }
        }
        outcomes
    }

    /// Publishes a stream, pipelined, and returns how many were confirmed.
    ///
    /// # Errors
    /// The first failure in order; what was enqueued after it is on its way all the same.
    ///
    /// # Cancel safety
    /// As [`publish_batch`](Self::publish_batch).
    async fn publish_all<S>(&self, messages: S) -> Result<u64, PublishError>
    where
        S: Stream<Item = Message> + Send,
    {
        let mut portions = std::pin::pin!(messages.ready_chunks(PORTION));
        let mut waiting = VecDeque::new();
        let mut confirmed = 0;
        while let Some(portion) = portions.next().await {
            if waiting.len() == PIPELINE {
                confirmed += confirm(waiting.pop_front()).await?;
            }
            waiting.push_back(enqueue(self, portion).await);
        }
        while !waiting.is_empty() {
            confirmed += confirm(waiting.pop_front()).await?;
        }
        Ok(confirmed)
    }
}

/// Messages in one portion of a large batch.
const PORTION: usize = 1_000;
/// Portions that wait for confirmation at once.
const PIPELINE: usize = 8;

impl<P: Publisher + ?Sized> PublisherExt for P {}

type Portion = std::result::Result<crate::kit::Confirmations, Vec<Outcome>>;

/// Waits for a portion's outcomes and counts them, up to the first failure.
async fn confirm(portion: Option<Portion>) -> Result<u64, PublishError> {
    let outcomes = match portion {
        Some(Ok(confirmations)) => confirmations.await,
        Some(Err(refused)) => refused,
        None => Vec::new(),
    };
    outcomes.into_iter().try_fold(0, |count, outcome| outcome.map(|_| count + 1))
}

async fn enqueue<P: Publisher + ?Sized>(publisher: &P, batch: Vec<Message>) -> Portion {
    let bytes = batch.iter().map(Message::size).sum();
    let permit: Result<Permit> = publisher.ready(batch.len(), bytes).await;
    match permit {
        Ok(permit) => Ok(publisher.enqueue(permit, batch)),
        Err(error) => Err(batch.into_iter().map(|m| Err(PublishError::new(error.duplicate(), m))).collect()),
    }
}

/// Conveniences for every [`Consumer`].
#[async_trait]
pub trait ConsumerExt: Consumer {
    /// Waits for one message.
    ///
    /// # Errors
    /// As [`Consumer::receive`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn next(&mut self) -> Result<Delivery> {
        loop {
            if let Some(delivery) = self.receive(1).await?.pop() {
                return Ok(delivery);
            }
        }
    }

    /// The messages as a stream, which ends when the consumer is closed and yields the error that ends it otherwise.
    fn stream(&mut self) -> impl Stream<Item = Result<Delivery>> + Send {
        futures::stream::unfold(Some(self), |state| async {
            let consumer = state?;
            match consumer.next().await {
                Ok(delivery) => Some((Ok(delivery), Some(consumer))),
                Err(error) if error.kind() == Kind::Closed => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

impl<C: Consumer + ?Sized> ConsumerExt for C {}
