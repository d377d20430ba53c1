//! How an in-memory broker is configured.

use std::time::Duration;

use anybroker_core::{BrokerUrl, Error, Kind, Result, TopologyMode};

/// Configuration of an in-memory broker; each field is a URL parameter of the same name.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryConfig {
    /// Which broker of this process (the URL's host); one without a name is called `default`.
    pub name: String,
    /// Partitions of topics that are created (default 8).
    pub partitions: u32,
    /// What opening a publisher or consumer does about a missing topic (default: create it).
    pub topology: TopologyMode,
    /// How long a delivery may be held before it is delivered again; none: for as long as its consumer lives.
    pub lease: Option<Duration>,
    /// Within this window a second message of the same id is confirmed as a duplicate and not stored; none: stored.
    pub deduplication: Option<Duration>,
    /// How many messages a partition keeps (default 1,000,000). Beyond it, those that every group has acknowledged
    /// go first; where there are none, publishing is refused rather than a message lost.
    pub retention: usize,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        MemoryConfig {
            name: "default".into(),
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
        let config = MemoryConfig {
            name: url.hosts.first().map_or(defaults.name, |(host, _)| host.clone()),
            partitions: parameters.take("partitions")?.unwrap_or(defaults.partitions),
            topology: parameters.take("topology")?.unwrap_or(defaults.topology),
            lease: parameters.duration("lease")?,
            deduplication: parameters.duration("deduplication")?,
            retention: parameters.take("retention")?.unwrap_or(defaults.retention),
        };
        parameters.finish()?;
        if config.partitions == 0 || config.retention == 0 {
            return Err(bad("partitions and retention must be at least 1"));
        }
        Ok(config)
    }
}
