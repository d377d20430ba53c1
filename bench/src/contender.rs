//! What is compared: a way to publish with confirmations, and a way to consume with acknowledgements.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::Result;
use crate::harness::Handler;
use crate::task::{Item, Load, Task};

/// A way to publish.
#[async_trait]
pub trait Publish: Send {
    /// Publishes `count` messages as fast as it goes; returns when each is confirmed.
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()>;

    /// Takes messages that are due now. Waits for their confirmation only if that is this contender's way.
    async fn pass(&mut self, due: Vec<Item>) -> Result<()>;

    /// Waits until everything passed is confirmed.
    async fn confirmed(&mut self) -> Result<()>;
}

/// A way to consume.
#[async_trait]
pub trait Consume: Send {
    /// Handles `count` more messages; returns when they are acknowledged as far as this broker acknowledges.
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()>;

    /// Ends it in good order.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// Who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// anybroker.
    Ours,
    /// The client library, in the code that everybody writes first.
    Naive,
    /// The client library, in code tuned for it, whatever that does without.
    Raw,
    /// The client library, in tuned code that promises what anybroker does: ids that are said and looked at, an order that several
    /// members can share.
    Equal,
    /// Another library over several brokers.
    Peer,
}

impl Kind {
    /// Whether it is tuned code by hand, which the others are compared with.
    pub fn is_tuned_by_hand(self) -> bool {
        matches!(self, Kind::Raw | Kind::Equal)
    }
}

type Opening<T> = Pin<Box<dyn Future<Output = Result<Box<T>>> + Send>>;
/// Opens a publisher.
pub type OpenPublish = fn(Arc<Task>) -> Opening<dyn Publish>;
/// Opens a consumer.
pub type OpenConsume = fn(Arc<Task>) -> Opening<dyn Consume>;

/// A contender of one broker.
#[derive(Clone, Copy)]
pub struct Contender {
    pub name: &'static str,
    pub kind: Kind,
    /// What it does, and with which settings that the others don't have.
    pub way: &'static str,
    pub publish: Option<OpenPublish>,
    pub consume: Option<OpenConsume>,
}
