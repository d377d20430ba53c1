//! What an adapter implements, and the broker handle that applications hold.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::consumer::{Consumer, Subscription};
use crate::error::{Error, Kind, Result};
use crate::guarantees::Guarantees;
use crate::publisher::{Publisher, PublisherOptions};
use crate::topic::{Group, Topic, Topology};
use crate::transaction::{TransactionOptions, TransactionalPublisher};

/// A message broker, connected.
///
/// # For implementors
/// - Every method has a deadline of its own; nothing hangs on a dead server.
/// - [`publisher`](Self::publisher) and [`consumer`](Self::consumer) verify the options' requirements against
///   [`guarantees`](Self::guarantees) before they return, and again after every reconnect.
/// - What the broker cannot do fails with `Unsupported` before any I/O; nothing is emulated silently.
/// - `docs/adding-a-backend.md` walks through a whole one.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Opens a publisher.
    ///
    /// # Errors
    /// `Unmet`, `NotFound` (the topic), `PermissionDenied`, `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>>;

    /// Opens a consumer, which joins its group.
    ///
    /// # Errors
    /// As [`publisher`](Self::publisher), and `Unsupported` for a start that the broker does not have.
    ///
    /// # Cancel safety
    /// Cancel safe; a cancelled call may have joined the group for a moment.
    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>>;

    /// Opens a publisher whose messages and acknowledgements are visible together or not at all.
    ///
    /// # Errors
    /// `Unsupported` before any I/O where the row `transactions` of the [`guarantees`](Self::guarantees) is none, saying what to
    /// use instead; otherwise as [`publisher`](Self::publisher).
    ///
    /// # Cancel safety
    /// Cancel safe; a cancelled call may have fenced the holder of the id.
    async fn transactional_publisher(
        &self,
        options: TransactionOptions,
    ) -> Result<Box<dyn TransactionalPublisher>> {
        Err(options.unsupported())
    }

    /// What holds for the configuration that runs: probed where the protocol can tell.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`; `NotFound` if the topic does not exist and the mode is to check.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn guarantees(&self, topic: Option<&Topic>, group: Option<&Group>) -> Result<Guarantees>;

    /// Topics and groups.
    fn admin(&self) -> &dyn Admin;

    /// The messaging system's name in telemetry: OpenTelemetry's, where it has one (`kafka`, `rabbitmq`, `nats`, `aws_sqs`).
    fn system(&self) -> Option<&'static str> {
        None
    }

    /// The native client, for what the contract does not have. Using it leaves the guarantees.
    fn native(&self) -> Option<&(dyn Any + Send + Sync)> {
        None
    }

    /// Closes every publisher and consumer and the connections, within a deadline.
    ///
    /// # Errors
    /// `TimedOut` if something did not flush; it is closed all the same.
    ///
    /// # Cancel safety
    /// Not cancel safe.
    async fn close(&self) -> Result<()>;
}

/// Topics and groups. Every method has a deadline and fails with `Disconnected`, `TimedOut`, `PermissionDenied`.
#[async_trait]
pub trait Admin: Send + Sync {
    /// Makes sure that topic and groups exist as stated. Existing ones must fit.
    ///
    /// # Errors
    /// `InvalidConfiguration` if what is there differs, with the difference.
    ///
    /// # Cancel safety
    /// A cancelled call may have created a part; calling again completes it.
    async fn declare(&self, topology: &Topology) -> Result<()>;

    /// Deletes the topic with its messages and groups.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// A cancelled call may have deleted it.
    async fn delete(&self, topic: &Topic) -> Result<()>;

    /// Deletes the topic's messages and keeps the topic.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// A cancelled call may have deleted some.
    async fn purge(&self, topic: &Topic) -> Result<()>;

    /// The topics that this client can see.
    ///
    /// # Errors
    /// `Unsupported` where the protocol cannot list, saying what would.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn topics(&self) -> Result<Vec<TopicInfo>>;

    /// How many messages the group has not acknowledged.
    ///
    /// # Errors
    /// `NotFound` for the topic or the group.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn backlog(&self, topic: &Topic, group: &Group) -> Result<u64>;

    /// The topic's consumer groups, and how far each is, partition by partition.
    ///
    /// # Errors
    /// `Unsupported` where the protocol cannot list, saying what would; `NotFound` for the topic.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn groups(&self, topic: &Topic) -> Result<Vec<GroupInfo>> {
        let text = "this backend cannot list the groups of a topic";
        let error = Error::new(Kind::Unsupported, "groups", text).on(format!("topic `{topic}`"));
        Err(error.advice("name the group: its backlog can be asked for"))
    }

    /// What an operator would look at: server version, encryption, permissions, settings that weaken a guarantee, the
    /// server's clock; and what to change. `topic` narrows it to what publishing to and consuming from it needs.
    ///
    /// # Errors
    /// As stated for all; what can be found out although something else fails is found out, and said.
    ///
    /// # Cancel safety
    /// Cancel safe; nothing is changed at the server.
    async fn diagnose(&self, _topic: Option<&Topic>) -> Result<Vec<Diagnosis>> {
        Ok(Vec::new())
    }

    /// Asks the server for a sign of life, with the round trip's time.
    ///
    /// # Errors
    /// As stated for all.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn health(&self) -> Result<Duration>;
}

/// A topic as `topics list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: Option<u32>,
    /// Its groups, where the broker tells.
    pub groups: Vec<String>,
}

/// A consumer group as `groups` and `lag` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its name.
    pub group: String,
    /// How many members it has at the moment, where the broker tells.
    pub members: Option<u32>,
    /// Its progress in each partition, in order of their numbers.
    pub partitions: Vec<PartitionLag>,
}

impl GroupInfo {
    /// How many messages the group has not acknowledged, over all partitions.
    pub fn backlog(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.backlog).sum()
    }
}

/// How far a group is in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition's number.
    pub partition: u32,
    /// How many of its messages the group has not acknowledged.
    pub backlog: u64,
}

/// One thing that `doctor` looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What was looked at, in a word or two: `version`, `permission to publish`.
    pub subject: &'static str,
    /// How it stands.
    pub finding: Finding,
    /// What was found, for people.
    pub text: String,
    /// What to change.
    pub advice: Option<String>,
}

impl Diagnosis {
    /// A finding with its text.
    pub fn new(subject: &'static str, finding: Finding, text: impl Into<String>) -> Self {
        Diagnosis { subject, finding, text: text.into(), advice: None }
    }

    /// Adds what to change.
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// How something stands that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// As it should be.
    Fine,
    /// It could not be found out.
    Unknown,
    /// It works, and something about it should be changed.
    Warning,
    /// It does not work.
    Failure,
}

impl Finding {
    /// The finding in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Finding::Fine => "fine",
            Finding::Unknown => "unknown",
            Finding::Warning => "warning",
            Finding::Failure => "failure",
        }
    }
}

/// A shared backend: what applications hold and pass around.
pub type Broker = Arc<dyn Backend>;
