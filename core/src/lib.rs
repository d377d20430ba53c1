//! The contract of anybroker: messages, guarantees, errors, and the kit that adapters are built from.
//!
//! Applications depend on the crate `anybroker`, which re-exports this one and opens brokers by URL. Authors of
//! adapters implement [`Backend`] with the parts in [`kit`].

mod backend;
mod consumer;
pub mod dead_letter;
mod delivery;
mod error;
mod ext;
mod guarantees;
pub mod kit;
mod message;
mod publisher;
mod topic;
mod transaction;
mod url;

pub use async_trait::async_trait;
pub use bytes::Bytes;
pub use bytestring::ByteString;

pub use backend::{Admin, Backend, Broker, Diagnosis, Finding, GroupInfo, PartitionLag, TopicInfo};
pub use consumer::{Consumer, DeadLetterPolicy, Start, Subscription};
pub use dead_letter::{Reason, ReasonClass};
pub use delivery::{
    Delivery, Held, Provenance, SettleError, Settled, Settlement, Settler, Standing, Token, Verdict,
};
pub use error::{Error, Fate, Kind, Result};
pub use ext::{ConsumerExt, PublisherExt};
pub use guarantees::{
    Acknowledgement, AfterFailure, Basis, Certainty, Confirmation, DeadLetter, Deduplication, Delay,
    DeliveryLevel, Durability, Exclusivity, FanOut, Guarantees, Kept, Lease, Level, Limits, Redelivery,
    Replay, Requirements, Row, RowView, Scope, Transactions, Unmet, Unsubscribed,
};
pub use message::{
    Attribute, DEFAULT_SOURCE, Event, Headers, IntoValue, Key, Message, MessageId, Record, RecordBuffer,
    RecordWriter,
};
pub use publisher::{
    OnFailure, Outcome, PublishError, Publisher, PublisherOptions, Receipt, SharedPublisher,
};
pub use topic::{Group, Position, Topic, Topology, TopologyMode, TransactionalId};
pub use transaction::{Transaction, TransactionOptions, TransactionalPublisher};
pub use url::{BrokerUrl, Parameters, Secret, TlsFiles};
