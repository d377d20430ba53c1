//! Who is compared, broker by broker.

pub(crate) mod core_nats;
mod kafka;
pub(crate) mod nats;
mod ours;
#[cfg(feature = "peers")]
mod peers;
mod pulsar;
mod rabbitmq;
pub(crate) mod sqs;

use std::time::Duration;

use crate::Result;
use crate::contender::{Contender, Kind};
use crate::task::Operation;

/// A broker as the harness sees it.
pub struct Field {
    pub name: &'static str,
    /// Settings that are the same for all.
    pub settings: &'static str,
    pub contenders: Vec<Contender>,
    /// It stores what is published, so that there is a backlog to consume.
    pub stores: bool,
    /// It keeps what was consumed: one filled topic serves every round.
    pub keeps: bool,
    /// Its topics have as many partitions as are asked for.
    pub partitioned: bool,
    /// It is in the process.
    pub embedded: bool,
    /// Messages of a round of small payloads, unless told otherwise.
    pub messages: u64,
}

/// How long one round of one contender may take.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// The broker that a URL names.
///
/// # Errors
/// If there are no contenders for it.
pub fn field(url: &str) -> Result<Field> {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    match scheme {
        "memory" => Ok(Field {
            name: "memory",
            settings: "in the process; nothing to compare with but itself",
            contenders: vec![ours::BATCH, ours::ONE_BY_ONE, ours::NATURAL],
            stores: true,
            keeps: false,
            partitioned: true,
            embedded: true,
            messages: 1_000_000,
        }),
        "sqlite" => Ok(Field {
            name: "SQLite",
            settings: "in the process; what is confirmed or acknowledged is committed and on the disk",
            contenders: vec![ours::BATCH, ours::ONE_BY_ONE, ours::NATURAL],
            stores: true,
            keeps: false,
            partitioned: true,
            embedded: true,
            messages: 200_000,
        }),
        "kafka" => Ok(Field {
            name: "kafka",
            settings: kafka::SETTINGS,
            contenders: [&[ours::BATCH, ours::NATURAL], kafka::RAW, PEERS_ON_KAFKA].concat(),
            stores: true,
            keeps: true,
            partitioned: true,
            embedded: false,
            messages: 200_000,
        }),
        "nats" => Ok(Field {
            name: "NATS JetStream",
            settings: nats::SETTINGS,
            contenders: [&[ours::BATCH, ours::NATURAL], nats::RAW, PEERS_ON_NATS].concat(),
            stores: true,
            keeps: true,
            partitioned: true,
            embedded: false,
            messages: 100_000,
        }),
        "nats+core" => Ok(Field {
            name: "core NATS",
            settings: core_nats::SETTINGS,
            contenders: [&[ours::BATCH, ours::NATURAL_PUBLISH], core_nats::RAW, PEERS_ON_CORE_NATS].concat(),
            stores: false,
            keeps: false,
            partitioned: false,
            embedded: false,
            messages: 1_000_000,
        }),
        "pulsar" => Ok(Field {
            name: "Pulsar",
            settings: pulsar::SETTINGS,
            contenders: [&[ours::BATCH, ours::NATURAL], pulsar::RAW].concat(),
            stores: true,
            keeps: true,
            partitioned: true,
            embedded: false,
            messages: 50_000,
        }),
        "amqp" | "amqps" => Ok(Field {
            name: "RabbitMQ",
            settings: rabbitmq::SETTINGS,
            contenders: [&[ours::BATCH, ours::NATURAL], rabbitmq::RAW, PEERS_ON_RABBITMQ].concat(),
            stores: true,
            keeps: false,
            partitioned: true,
            embedded: false,
            messages: 100_000,
        }),
        "sqs" => Ok(Field {
            name: "SQS FIFO",
            settings: sqs::SETTINGS,
            contenders: [&[ours::BATCH, ours::NATURAL], sqs::RAW, PEERS_ON_SQS].concat(),
            stores: true,
            keeps: false,
            partitioned: false,
            embedded: false,
            messages: 20_000,
        }),
        _ => Err(format!(
            "nothing is measured on `{scheme}`: it is memory, sqlite, kafka, nats, nats+core, pulsar, amqp, amqps or sqs"
        )
        .into()),
    }
}

#[cfg(feature = "peers")]
use peers::{
    core_nats::ALL as PEERS_ON_CORE_NATS, kafka::ALL as PEERS_ON_KAFKA, nats::ALL as PEERS_ON_NATS,
    rabbitmq::ALL as PEERS_ON_RABBITMQ, sqs::ALL as PEERS_ON_SQS,
};

#[cfg(not(feature = "peers"))]
const PEERS_ON_CORE_NATS: &[Contender] = &[];
#[cfg(not(feature = "peers"))]
const PEERS_ON_KAFKA: &[Contender] = &[];
#[cfg(not(feature = "peers"))]
const PEERS_ON_NATS: &[Contender] = &[];
#[cfg(not(feature = "peers"))]
const PEERS_ON_RABBITMQ: &[Contender] = &[];
#[cfg(not(feature = "peers"))]
const PEERS_ON_SQS: &[Contender] = &[];

impl Field {
    /// What is measured unless something is asked for.
    pub fn operations(&self) -> &'static [Operation] {
        match self {
            Field { embedded: true, .. } => &[Operation::Publish, Operation::Consume, Operation::Through],
            Field { stores: false, .. } => &[Operation::Publish, Operation::Through, Operation::Latency],
            _ => &[Operation::Publish, Operation::Consume, Operation::Latency],
        }
    }

    /// That other libraries are among the contenders.
    ///
    /// # Errors
    /// Why there are none, and what to do.
    pub fn has_peers(&self) -> Result<()> {
        if self.contenders.iter().any(|it| it.kind == Kind::Peer) {
            Ok(())
        } else if cfg!(feature = "peers") {
            Err(format!("no other library is measured on {}: leave --peers away", self.name).into())
        } else {
            Err("this program was built without the other libraries that --peers asks for; build it with them: \
                 cargo build --release --manifest-path bench/Cargo.toml --features peers"
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::field;

    #[test]
    fn a_contender_is_known_by_its_name() {
        for url in [
            "memory://",
            "sqlite:///f",
            "kafka://h",
            "nats://h",
            "amqp://h",
            "amqps://h",
            "nats+core://h",
            "pulsar://h",
            "sqs://r",
        ] {
            let contenders = field(url).unwrap().contenders;
            let names: BTreeSet<_> = contenders.iter().map(|it| it.name).collect();
            assert_eq!(names.len(), contenders.len(), "{url}: {names:?}");
        }
    }
}
