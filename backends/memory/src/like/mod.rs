//! Which broker the in-memory one behaves as: `like=kafka`.

mod table;

use std::fmt;
use std::str::FromStr;

use anybroker_core::{Error, Kind};

pub(crate) use table::guarantees;

/// A broker whose guarantees the in-memory one takes on, as the adapter of that broker gives them with default settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Like {
    /// `kafka`: a log of partitions, cumulative commits, nothing that marks a redelivery.
    Kafka,
    /// `rabbitmq`: one quorum queue a group, acknowledgements that nobody confirms, no replay.
    RabbitMq,
    /// `jetstream`: a stream with a consumer for each partition of a group, deduplication by message id.
    JetStream,
    /// `nats-core`: nothing is stored, and nothing comes again.
    NatsCore,
    /// `sqs-fifo`: one queue, one group, a key in one pair of hands at a time.
    SqsFifo,
    /// `pulsar`: a log whose partitions the members of a group share, acknowledgements that are on the disk a second later.
    Pulsar,
}

impl Like {
    /// All of them.
    pub const ALL: [Like; 6] =
        [Like::Kafka, Like::RabbitMq, Like::JetStream, Like::NatsCore, Like::SqsFifo, Like::Pulsar];

    /// Its name in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Like::Kafka => "kafka",
            Like::RabbitMq => "rabbitmq",
            Like::JetStream => "jetstream",
            Like::NatsCore => "nats-core",
            Like::SqsFifo => "sqs-fifo",
            Like::Pulsar => "pulsar",
        }
    }
}

impl fmt::Display for Like {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Like {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Like::ALL.into_iter().find(|like| like.as_str() == text).ok_or_else(|| {
            let names = Like::ALL.map(Like::as_str).join(", ");
            Error::new(Kind::InvalidConfiguration, "connect", format!("like={text} is none of {names}"))
        })
    }
}
