//! The consuming half of the contract.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::delivery::{Delivery, Settler};
use crate::error::Result;
use crate::guarantees::Requirements;
use crate::topic::{Group, Topic};

/// How a consumer is opened.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The topic.
    pub topic: Topic,
    /// The consumer group.
    pub group: Group,
    /// Where to start.
    pub start: Start,
    /// What the application needs; opening fails where that is not given.
    pub requirements: Requirements,
    /// The most messages held by this consumer: handed out, waiting to be, or put back with a delay. A failed message's
    /// key waits behind it in here, so a key with that many messages behind a long delay makes the others wait too.
    pub prefetch: usize,
    /// The most payload bytes held by this consumer.
    pub prefetch_bytes: usize,
    /// Where hopeless messages go.
    pub dead_letter: Option<DeadLetterPolicy>,
    /// How long a partition that is taken away waits for its deliveries to be settled.
    pub drain: Duration,
}

impl Subscription {
    /// The defaults for a group of a topic: resume, 2,000 messages, 64 MiB, no dead letters, 5 s of draining.
    pub fn new(topic: Topic, group: Group) -> Self {
        Subscription {
            topic,
            group,
            start: Start::default(),
            requirements: Requirements::new(),
            prefetch: 2_000,
            prefetch_bytes: 64 << 20,
            dead_letter: None,
            drain: Duration::from_secs(5),
        }
    }

    /// Chooses where to start.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// States what the application needs.
    pub fn require(mut self, requirements: Requirements) -> Self {
        self.requirements = requirements;
        self
    }

    /// Bounds the messages held.
    pub fn prefetch(mut self, messages: usize) -> Self {
        self.prefetch = messages.max(1);
        self
    }

    /// Bounds the payload bytes held.
    pub fn prefetch_bytes(mut self, bytes: usize) -> Self {
        self.prefetch_bytes = bytes.max(1);
        self
    }

    /// States how long a partition that is taken away waits for its deliveries to be settled.
    pub fn drain(mut self, limit: Duration) -> Self {
        self.drain = limit;
        self
    }

    /// Names the dead letter topic.
    pub fn dead_letter(mut self, policy: DeadLetterPolicy) -> Self {
        self.dead_letter = Some(policy);
        self
    }
}

/// Where hopeless messages go, and when a message counts as hopeless by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterPolicy {
    /// The dead letter topic.
    pub topic: Topic,
    /// The most attempts; the next one goes to the dead letter topic instead. None: only on the application's word.
    pub max_attempts: Option<u32>,
}

/// Where a consumer starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Where the group left off; a new group starts with the earliest message kept for it. The default.
    #[default]
    Resume,
    /// With the earliest message that the topic keeps, also if the group has seen it. Needs replay.
    Earliest,
    /// With what is published from now on.
    Latest,
}

/// Receives one group's messages of one topic. People use [`ConsumerExt`](crate::ConsumerExt).
///
/// # For implementors
/// [`kit::SessionConsumer`](crate::kit::SessionConsumer) implements it over a bounded buffer that a task owned by the adapter fills.
#[async_trait]
pub trait Consumer: Send + fmt::Debug {
    /// Waits for messages and takes up to `max` of those that are there.
    ///
    /// # Errors
    /// `Closed` after the session ended; otherwise what ended it (`PermissionDenied`, `Unmet`, `Disconnected` past the
    /// deadline of reconnecting).
    ///
    /// # Cancel safety
    /// Cancel safe: messages leave the buffer only when they are returned.
    async fn receive(&mut self, max: usize) -> Result<Vec<Delivery>>;

    /// Settles this consumer's deliveries, also while `receive` waits.
    fn settler(&self) -> Arc<dyn Settler>;

    /// Pushes settlements, hands everything unsettled back in order, and leaves the group.
    ///
    /// # Errors
    /// `TimedOut`, `Disconnected`: settlements that were not pushed are delivered again. It is closed all the same.
    ///
    /// # Cancel safety
    /// Not cancel safe: a cancelled close ends the session as a crash would; nothing is lost.
    async fn close(self: Box<Self>) -> Result<()>;
}
