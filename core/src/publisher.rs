//! The publishing half of the contract.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytestring::ByteString;

use crate::error::{Error, Result};
use crate::guarantees::Requirements;
use crate::kit::{Confirmations, Permit};
use crate::message::{Key, Message};
use crate::topic::{Position, Topic};

/// How a publisher is opened.
#[derive(Clone, Debug)]
pub struct PublisherOptions {
    /// The topic that it publishes to.
    pub topic: Topic,
    /// What the application needs of it; opening fails where that is not given.
    pub requirements: Requirements,
    /// What becomes of a key whose publish failed.
    pub on_failure: OnFailure,
    /// The most messages that wait for a confirmation.
    pub window_messages: usize,
    /// The most bytes that wait for a confirmation.
    pub window_bytes: usize,
    /// The `source` of messages that have a type and no source of their own.
    pub source: Option<ByteString>,
}

impl PublisherOptions {
    /// The defaults for `topic`: nothing required, keys held after a failure, 10,000 messages and 32 MiB in flight.
    pub fn new(topic: Topic) -> Self {
        PublisherOptions {
            topic,
            requirements: Requirements::new(),
            on_failure: OnFailure::default(),
            window_messages: 10_000,
            window_bytes: 32 << 20,
            source: None,
        }
    }

    /// States what the application needs.
    pub fn require(mut self, requirements: Requirements) -> Self {
        self.requirements = requirements;
        self
    }

    /// Bounds what waits for a confirmation.
    pub fn window(mut self, messages: usize, bytes: usize) -> Self {
        (self.window_messages, self.window_bytes) = (messages, bytes);
        self
    }

    /// States the `source` of messages that have a type and no source of their own.
    pub fn source(mut self, source: impl Into<ByteString>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Chooses what becomes of a key whose publish failed.
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }
}

/// What becomes of the later messages of a key when one of it failed to publish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Those not yet sent fail, in order and not applied, until [`Publisher::resume`]. The default.
    #[default]
    HoldKey,
    /// They go on: the key may have a gap.
    Continue,
}

/// Publishes to one topic. Batch-first: people use [`PublisherExt`](crate::PublisherExt).
///
/// # For implementors
/// Build on [`kit::Intake`](crate::kit::Intake), which brings the window, held keys and confirmations. Never retry above the
/// client and never reorder a key. A confirmation is given only for what the broker itself confirmed.
#[async_trait]
pub trait Publisher: Send + Sync + fmt::Debug {
    /// Waits for room in the bounded window: this is the back-pressure. More than the window at once gets the
    /// whole window; split larger batches.
    ///
    /// # Errors
    /// `Closed` after [`close`](Self::close).
    ///
    /// # Cancel safety
    /// Cancel safe: a cancelled call has taken no room.
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit>;

    /// Takes the whole batch in call order, without waiting. One outcome a message comes back, in order.
    /// Dropping the confirmations does not stop the messages.
    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations;

    /// Waits for a moment in which everything enqueued has an outcome; stop publishing meanwhile.
    ///
    /// # Errors
    /// `TimedOut` if the broker does not answer; the messages then end as unknown.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn flush(&self) -> Result<()>;

    /// Lets messages of `key` through again after one of them failed.
    fn resume(&self, key: &Key);

    /// The topic published to.
    fn topic(&self) -> &Topic;

    /// Flushes and closes; later calls fail with `Closed`. Closing twice is harmless.
    ///
    /// # Errors
    /// As [`flush`](Self::flush); the publisher is closed all the same.
    ///
    /// # Cancel safety
    /// Not cancel safe: a cancelled close may leave messages unconfirmed.
    async fn close(&self) -> Result<()>;
}

/// A shared publisher.
pub type SharedPublisher = Arc<dyn Publisher>;

/// What the broker said of a stored message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Where it is, when the broker says so.
    pub position: Option<Position>,
    /// The broker had a message of this id already and stored nothing.
    pub duplicate: bool,
}

/// What became of one published message.
pub type Outcome = Result<Receipt, PublishError>;

/// A publish that failed, with the message handed back.
pub struct PublishError(Box<(Error, Message)>);

impl PublishError {
    /// Pairs the error with the message.
    pub fn new(error: Error, message: Message) -> Self {
        PublishError(Box::new((error, message)))
    }

    /// Why it failed; [`Error::fate`] says whether a retry may duplicate.
    pub fn error(&self) -> &Error {
        &self.0.0
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.0.1
    }

    /// Takes both apart.
    pub fn into_parts(self) -> (Error, Message) {
        *self.0
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl fmt::Debug for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublishError").field(self.error()).field(&self.message().id).finish()
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.error())
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        error.into_parts().0
    }
}
