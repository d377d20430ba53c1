//! Publishing what was checked in.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use anybroker_core::{
    Error, Key, Kind, Message, Outcome, PublishError, Publisher, PublisherExt as _, Receipt, Result,
};
use futures::stream::{Stream, StreamExt as _};

use super::ClaimCheck;

/// Uploads at once, of one call.
const UPLOADS: usize = 8;

impl ClaimCheck {
    /// [Checks in](Self::check_in) a message and publishes it, confirmed.
    ///
    /// # Errors
    /// As [`check_in`](Self::check_in), and as [`PublisherExt::publish`](anybroker_core::PublisherExt::publish). The message
    /// comes back; if it was uploaded, with the reference, and publishing that again uploads nothing.
    ///
    /// # Cancel safety
    /// As both.
    pub async fn publish(
        &self,
        publisher: &dyn Publisher,
        message: Message,
    ) -> Result<Receipt, PublishError> {
        publisher.publish(self.check_in(message).await?).await
    }

    /// Checks in a batch, some at once, and publishes it in order: one outcome a message. After a message that could not
    /// be uploaded, the later ones of its key are refused with `KeyHeld`, so that its key gets no gap.
    ///
    /// # Cancel safety
    /// As [`PublisherExt::publish_batch`](anybroker_core::PublisherExt::publish_batch); blobs may stay that no message names.
    pub async fn publish_batch(&self, publisher: &dyn Publisher, batch: Vec<Message>) -> Vec<Outcome> {
        let uploads: Vec<_> = batch.into_iter().map(|message| self.check_in(message)).collect();
        let checked: Vec<_> = futures::stream::iter(uploads).buffered(UPLOADS).collect().await;
        let mut held = HashSet::new();
        let checked: Vec<_> = checked.into_iter().map(|message| in_order(&mut held, message)).collect();
        let uploaded: Vec<_> = checked.iter().map(Result::is_ok).collect();
        let (mut publish, mut refused) = (Vec::new(), Vec::new());
        for message in checked {
            match message {
                Ok(message) => publish.push(message),
                Err(error) => refused.push(error),
            }
        }
        let mut published = publisher.publish_batch(publish).await.into_iter();
        let mut refused = refused.into_iter().map(Err);
        let outcome = |uploaded| if uploaded { published.next() } else { refused.next() };
        uploaded.into_iter().filter_map(outcome).collect()
    }

    /// Checks in and publishes a stream in order, pipelined, and returns how many were confirmed.
    ///
    /// # Errors
    /// The first failure; of what follows in the stream nothing is taken, but for what is on its way already.
    ///
    /// # Cancel safety
    /// As [`publish_batch`](Self::publish_batch).
    pub async fn publish_all<S>(&self, publisher: &dyn Publisher, messages: S) -> Result<u64, PublishError>
    where
        S: Stream<Item = Message> + Send,
    {
        let failed = Mutex::new(None);
        let checked = messages.map(|message| self.check_in(message)).buffered(UPLOADS);
        let until_failed = checked.scan((), |(), message| {
            let uploaded = message.map_err(|error| {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            });
            std::future::ready(uploaded.ok())
        });
        let confirmed = publisher.publish_all(until_failed).await?;
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(confirmed),
        }
    }
}

/// Refuses what follows in the key of one that failed.
fn in_order(
    held: &mut HashSet<Key>,
    message: Result<Message, PublishError>,
) -> Result<Message, PublishError> {
    let key = match &message {
        Ok(message) => message.key.clone(),
        Err(error) => error.message().key.clone(),
    };
    let Some(key) = key else { return message };
    match message {
        Ok(message) if held.contains(&key) => {
            let text = "an earlier message of its key could not be uploaded";
            Err(PublishError::new(Error::new(Kind::KeyHeld, "publish", text), message))
        }
        Ok(message) => Ok(message),
        Err(error) => {
            held.insert(key);
            Err(error)
        }
    }
}
