//! The events of a history, one struct a kind, as they stand in the file.

use serde::{Deserialize, Serialize};

use super::wire::{Position, Text, nullable, optional_object};

/// One event, without its time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "e", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A publish was invoked.
    Publish(Publish<'a>),
    /// The outcome of a publish came back.
    Published(Published<'a>),
    /// A transaction began.
    Begin(TransactionStep<'a>),
    /// A transaction's commit was invoked.
    Commit(TransactionStep<'a>),
    /// A transaction's abort was invoked.
    Abort(TransactionStep<'a>),
    /// The outcome of a commit or abort came back.
    TransactionEnd(TransactionEnd<'a>),
    /// A consumer session began.
    Open(Open<'a>),
    /// A consumer session ended; what it held is released.
    Close(Close<'a>),
    /// Partitions were given to a session.
    Assign(Assign<'a>),
    /// Partitions were taken from a session.
    Revoke(Assign<'a>),
    /// A message was delivered.
    Deliver(Deliver<'a>),
    /// The settlement of a delivery was invoked.
    Settle(Settle<'a>),
    /// The outcome of a settlement came back.
    Settled(Settled<'a>),
    /// Something was done to the broker or a client.
    Fault(Fault<'a>),
    /// A message was removed as documented: retention, overflow.
    Evicted(Evicted<'a>),
    /// Nothing more will come to a group: what it has not been given now is lost.
    Drained(Drained<'a>),
}

/// A publish was invoked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Publish<'a> {
    /// The message's unique id.
    #[serde(borrow)]
    pub m: Text<'a>,
    /// Who published it.
    pub publisher: Text<'a>,
    /// To which topic.
    pub topic: Text<'a>,
    /// The key.
    #[serde(deserialize_with = "nullable")]
    pub key: Option<Text<'a>>,
    /// A hash of the payload.
    pub hash: Text<'a>,
    /// The deduplication id, if it is not `m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedup: Option<Text<'a>>,
    /// A hash of id, key, ordered headers, type and content type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Text<'a>>,
    /// How long the broker was asked to hold it back, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// The transaction that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Text<'a>>,
    /// Whether it was sent only to see that everything moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<bool>,
}

/// What is known of a publish, a settlement or a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Confirmed by the broker.
    Ok,
    /// It definitely did not happen.
    Failed,
    /// It may or may not have happened.
    Unknown,
}

/// The outcome of a publish came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published<'a> {
    /// The message.
    #[serde(borrow)]
    pub m: Text<'a>,
    /// What is known.
    pub outcome: Outcome,
    /// Where it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_object")]
    pub position: Option<Position>,
    /// Whether the broker said that it already had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<bool>,
}

/// A transaction began, or its end was invoked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TransactionStep<'a> {
    /// The transaction.
    #[serde(borrow)]
    pub transaction: Text<'a>,
    /// Whose it is.
    pub publisher: Text<'a>,
}

/// The outcome of a commit or abort came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransactionEnd<'a> {
    /// The transaction.
    #[serde(borrow)]
    pub transaction: Text<'a>,
    /// Whose it is.
    pub publisher: Text<'a>,
    /// What is known.
    pub outcome: Outcome,
}

/// Where a session starts to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the oldest message.
    Earliest,
    /// At what is published from now on.
    Latest,
    /// Where the group left off.
    Resume,
}

/// A consumer session began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open<'a> {
    /// The session's unique id.
    #[serde(borrow)]
    pub session: Text<'a>,
    /// The consumer.
    pub consumer: Text<'a>,
    /// The consumer group.
    pub group: Text<'a>,
    /// The topic.
    pub topic: Text<'a>,
    /// Where it starts.
    pub start: Start,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseCause {
    /// It was closed in order.
    Closed,
    /// Its process was killed.
    Killed,
    /// Its connection was lost.
    Disconnected,
}

/// A consumer session ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Close<'a> {
    /// The session.
    #[serde(borrow)]
    pub session: Text<'a>,
    /// Why.
    pub cause: CloseCause,
}

/// Partitions were given to a session, or taken from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Assign<'a> {
    /// The session.
    #[serde(borrow)]
    pub session: Text<'a>,
    /// The partitions' numbers.
    pub partitions: Vec<u32>,
}

/// A message was delivered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Deliver<'a> {
    /// The delivery's unique id.
    #[serde(borrow)]
    pub d: Text<'a>,
    /// The message.
    pub m: Text<'a>,
    /// The session that got it.
    pub session: Text<'a>,
    /// The key that came with it.
    #[serde(deserialize_with = "nullable")]
    pub key: Option<Text<'a>>,
    /// A hash of the payload that came.
    pub hash: Text<'a>,
    /// A hash of id, key, ordered headers, type and content type that came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Text<'a>>,
    /// Where it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_object")]
    pub position: Option<Position>,
    /// Whether the broker marked it as a redelivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redelivered: Option<bool>,
    /// Which attempt it is by the broker's count, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// Whether it came from the dead letter topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<bool>,
}

/// What a consumer says of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettleVerdict {
    /// It is done.
    Ack,
    /// It failed; deliver it again.
    Nack,
    /// Put it into the dead letter topic.
    DeadLetter,
    /// It was not touched; deliver it again without counting.
    Release,
}

/// The settlement of a delivery was invoked. The first of a delivery counts; once its outcome is unknown, a nack or release
/// gives the delivery back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settle<'a> {
    /// The delivery.
    #[serde(borrow)]
    pub d: Text<'a>,
    /// What is said of it.
    pub verdict: SettleVerdict,
    /// How long the redelivery is to wait, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// The transaction that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Text<'a>>,
}

/// The outcome of a settlement came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settled<'a> {
    /// The delivery.
    #[serde(borrow)]
    pub d: Text<'a>,
    /// What is known.
    pub outcome: Outcome,
}

/// Something was done to the broker or a client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fault<'a> {
    /// What was done: `kill`, `restart`, `pause`, `resume`, `cut`, `heal` or any other word.
    #[serde(borrow)]
    pub kind: Text<'a>,
    /// To whom.
    pub target: Text<'a>,
}

/// A message was removed as documented.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evicted<'a> {
    /// The message.
    #[serde(borrow)]
    pub m: Text<'a>,
    /// By which rule.
    pub why: Text<'a>,
}

/// Nothing more will come to a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drained<'a> {
    /// The group.
    #[serde(borrow)]
    pub group: Text<'a>,
    /// The topic.
    pub topic: Text<'a>,
}
