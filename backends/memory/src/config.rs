//! How an in-memory broker is configured.

use std::time::Duration;

use anybroker_core::{BrokerUrl, Error, Kind, Result, TopologyMode};

use crate::adversary::Schedule;
use crate::like::{Like, guarantees};

/// Configuration of an in-memory broker; each field is a URL parameter of the same name.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryConfig {
    /// Which broker of this process (the URL's host); one without a name is called `default`.
    pub name: String,
    /// The broker whose guarantees it takes on, and none beyond them. None: those of the reference model.
    pub like: Option<Like>,
    /// Does the worst that the guarantees of `like` allow, as this seed decides: the same seed and the same program on one thread
    /// meet the same misfortunes. A [`Schedule`] may name some of the seed's deeds, and then only these are done. None: all goes
    /// well.
    pub adversary: Option<Schedule>,
    /// Partitions of topics that are created (default 8; with `like=rabbitmq` 1, but 8 with an adversary). Not with `like=nats-core` and
    /// `like=sqs-fifo`, which have none.
    pub partitions: u32,
    /// What opening a publisher or consumer does about a missing topic (default: create it).
    pub topology: TopologyMode,
    /// How long a delivery may be held before it is delivered again; none: for as long as its consumer lives.
    /// With `like`, only where that broker's leases end, and none: as long as it has them by default.
    pub lease: Option<Duration>,
    /// Within this window a second message of the same id is confirmed as a duplicate and not stored; none: stored.
    /// Not with `like`, which has that broker's window.
    pub deduplication: Option<Duration>,
    /// How many messages a partition keeps (default 1,000,000). Beyond it, those that every group has acknowledged
    /// go first; where there are none, publishing is refused rather than a message lost.
    pub retention: usize,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        MemoryConfig {
            name: "default".into(),
            like: None,
            adversary: None,
            partitions: 8,
            topology: TopologyMode::Create,
            lease: None,
            deduplication: None,
            retention: 1_000_000,
        }
    }
}

impl MemoryConfig {
    /// Reads `memory://name?parameter=value`.
    ///
    /// # Errors
    /// `InvalidConfiguration` names what does not read.
    pub fn from_url(url: &BrokerUrl) -> Result<Self> {
        let bad = |text: &str| Error::new(Kind::InvalidConfiguration, "connect", text).on(url.to_string());
        if url.hosts.len() > 1 || url.user.is_some() || url.path.is_some() {
            return Err(bad("memory:// takes one name, and neither user nor path"));
        }
        let defaults = Self::default();
        let mut parameters = url.parameters();
        let like: Option<Like> = parameters.take("like")?;
        let adversary: Option<Schedule> = parameters.take("adversary")?;
        let partitions: Option<u32> = parameters.take("partitions")?;
        let config = MemoryConfig {
            name: url.hosts.first().map_or(defaults.name, |(host, _)| host.clone()),
            like,
            partitions: partitions.unwrap_or(default_partitions(like, adversary.is_some())),
            adversary,
            topology: parameters.take("topology")?.unwrap_or(defaults.topology),
            lease: parameters.duration("lease")?,
            deduplication: parameters.duration("deduplication")?,
            retention: parameters.take("retention")?.unwrap_or(defaults.retention),
        };
        parameters.finish()?;
        if config.partitions == 0 || config.retention == 0 {
            return Err(bad("partitions and retention must be at least 1"));
        }
        if like.is_none() && config.adversary.is_some() {
            return Err(bad("adversary= needs like=: it does what that broker is allowed to do"));
        }
        match like.and_then(|like| config.contradicts(like, partitions.is_some())) {
            Some(text) => Err(bad(&text)),
            None => Ok(config),
        }
    }

    /// What was asked for that the broker does not have.
    fn contradicts(&self, like: Like, partitions: bool) -> Option<String> {
        let given = guarantees(like);
        if partitions && matches!(like, Like::NatsCore | Like::SqsFifo) {
            return Some(format!("like={like} has no partitions"));
        }
        if self.deduplication.is_some() {
            let window = given.limits.deduplication_window;
            return Some(format!("like={like} has its own deduplication window: {window:?}"));
        }
        let endless = self.lease.is_some() && given.limits.lease.is_none();
        endless.then(|| format!("like={like} has no lease that ends: {}", given.lease.value))
    }
}

/// What has no partitions of its own is shared out in so many parts: order across keys is not promised, and an adversary
/// keeps none.
fn default_partitions(like: Option<Like>, adversary: bool) -> u32 {
    match like {
        None | Some(Like::Kafka | Like::JetStream | Like::Pulsar) => MemoryConfig::default().partitions,
        Some(Like::RabbitMq) if adversary => MemoryConfig::default().partitions,
        Some(Like::RabbitMq | Like::NatsCore) => 1,
        Some(Like::SqsFifo) => 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<MemoryConfig> {
        MemoryConfig::from_url(&url.parse().unwrap())
    }

    #[test]
    fn a_broker_is_named() {
        assert_eq!(config("memory://a?like=kafka").unwrap().like, Some(Like::Kafka));
        assert_eq!(config("memory://a?like=rabbitmq").unwrap().partitions, 1);
        assert_eq!(config("memory://a?like=rabbitmq&partitions=4&lease=1s").unwrap().partitions, 4);
    }

    #[test]
    fn what_the_broker_does_not_have_is_refused() {
        for (url, expected) in [
            ("memory://a?like=kafkaesque", "none of kafka, rabbitmq, jetstream, nats-core, sqs-fifo, pulsar"),
            ("memory://a?adversary=1", "adversary= needs like="),
            ("memory://a?like=sqs-fifo&partitions=4", "has no partitions"),
            ("memory://a?like=nats-core&partitions=1", "has no partitions"),
            ("memory://a?like=rabbitmq&deduplication=1s", "deduplication window: None"),
            ("memory://a?like=kafka&lease=1s", "no lease that ends: session"),
        ] {
            let error = config(url).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidConfiguration);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
