//! Which real broker each simulated one is held to.

use anybroker_conformance::cases::Disturbs;
use anybroker_conformance::subject::Subject;

use crate::characteristics::Characteristic;
use crate::reached::{local, server};

/// A real broker and the simulation of it.
#[derive(Clone)]
pub(crate) struct Pair {
    /// The real one's name, and as people know it.
    pub(crate) name: &'static str,
    pub(crate) shown: &'static str,
    /// What is simulated.
    pub(crate) like: &'static str,
    pub(crate) real: Subject,
    pub(crate) parameters: &'static str,
}

/// The real one, as people know it, what is simulated, the starter's broker, and parameters of both.
const PAIRS: [(&str, &str, &str, &str, &str); 8] = [
    ("kafka", "Kafka", "kafka", "kafka", "partitions=4"),
    ("rabbitmq", "RabbitMQ 4", "rabbitmq", "rabbitmq4", ""),
    ("rabbitmq-partitions", "RabbitMQ 4, partitions=4", "rabbitmq", "rabbitmq4", "partitions=4"),
    ("rabbitmq-3", "RabbitMQ 3", "rabbitmq", "rabbitmq", ""),
    ("jetstream", "JetStream", "jetstream", "nats", "partitions=4"),
    ("nats-core", "core NATS", "nats-core", "nats", "core"),
    ("sqs-fifo", "SQS FIFO", "sqs-fifo", "elasticmq", ""),
    ("pulsar", "Pulsar", "pulsar", "pulsar", "partitions=4"),
];

pub(crate) fn all() -> Vec<Pair> {
    let pair = |(name, shown, like, process, parameters)| Pair {
        name,
        shown,
        like,
        real: server(name, process, parameters),
        parameters: if parameters == "core" { "" } else { parameters },
    };
    PAIRS.into_iter().map(pair).collect()
}

impl Pair {
    /// Why a question is not asked of the real one.
    pub(crate) fn not_asked(&self, characteristic: &Characteristic) -> Option<&str> {
        let volatile = self.real.volatile.filter(|_| characteristic.disturbs == Disturbs::Broker);
        self.real.excluded.as_deref().or(volatile)
    }

    /// The simulation, as a broker that nobody else has.
    pub(crate) fn simulated(&self, own: &str, adversary: Option<u64>) -> Subject {
        let adversary = adversary.map_or(String::new(), |seed| format!("&adversary={seed}"));
        let parameters = if self.parameters.is_empty() { "" } else { "&partitions=4" };
        local(self.name, &format!("memory://{own}?like={}{parameters}{adversary}", self.like))
    }
}
