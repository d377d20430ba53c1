//! How an SQLite broker is configured.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anybroker_core::{BrokerUrl, Error, Kind, Result, TopologyMode};

/// Configuration of a broker in an SQLite file; each field is a URL parameter of the same name, but the path.
#[derive(Clone, Debug, PartialEq)]
pub struct SqliteConfig {
    /// The database file.
    pub path: PathBuf,
    /// Partitions of topics that are created (default 8).
    pub partitions: u32,
    /// What opening does about a missing file or topic (default: create it).
    pub topology: TopologyMode,
    /// How long a delivery may be held before it is delivered again; none: for as long as its consumer lives.
    pub lease: Option<Duration>,
    /// What a confirmed message survives (default: a power cut).
    pub sync: Sync,
    /// What topics are created with; an existing topic must fit what is stated.
    pub settings: Settings,
    /// Give an existing topic the stated settings instead of refusing it.
    pub alter: bool,
}

/// Settings that a topic keeps in the file, for every process that uses it. What is not stated is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How many messages a partition keeps (1,000,000 if not stated). Beyond it, those that every group has acknowledged
    /// go first; where there are none, publishing is refused rather than a message lost.
    pub retention: Option<u64>,
    /// Messages older than this go, once every group has acknowledged them; zero: they stay up to `retention`.
    pub retention_time: Option<Duration>,
    /// Within this window a second message of the same id is confirmed as a duplicate and not stored; zero: stored.
    pub deduplication: Option<Duration>,
}

/// When a confirmed message is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sync {
    /// Before it is confirmed: every commit is followed by an fsync.
    #[default]
    Full,
    /// Some time later: it survives the end of every process, but not a power cut.
    Normal,
}

impl fmt::Display for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sync::Full => "full",
            Sync::Normal => "normal",
        })
    }
}

impl FromStr for Sync {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "full" => Ok(Sync::Full),
            "normal" => Ok(Sync::Normal),
            _ => Err(Error::new(Kind::InvalidConfiguration, "connect", "it is neither full nor normal")),
        }
    }
}

/// The most partitions of a topic: each is served on its own.
const MOST_PARTITIONS: u32 = 1_024;

impl SqliteConfig {
    /// The defaults for the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        SqliteConfig {
            path: path.into(),
            partitions: 8,
            topology: TopologyMode::Create,
            lease: None,
            sync: Sync::Full,
            settings: Settings::default(),
            alter: false,
        }
    }

    /// Reads `sqlite:///absolute/path.db?parameter=value` or `sqlite://relative/path.db`.
    ///
    /// # Errors
    /// `InvalidConfiguration` names what does not read.
    pub fn from_url(url: &BrokerUrl) -> Result<Self> {
        let bad = |text: &str| Error::new(Kind::InvalidConfiguration, "connect", text).on(url.to_string());
        let defaults = Self::new(path(url)?);
        let mut parameters = url.parameters();
        let config = SqliteConfig {
            partitions: parameters.take("partitions")?.unwrap_or(defaults.partitions),
            topology: parameters.take("topology")?.unwrap_or(defaults.topology),
            lease: parameters.duration("lease")?,
            sync: parameters.take("sync")?.unwrap_or(defaults.sync),
            settings: Settings {
                retention: parameters.take("retention")?,
                retention_time: parameters.duration("retention_time")?,
                deduplication: parameters.duration("deduplication")?,
            },
            alter: parameters.take("alter")?.unwrap_or(defaults.alter),
            path: defaults.path,
        };
        parameters.finish()?;
        if config.partitions == 0 || config.partitions > MOST_PARTITIONS {
            return Err(bad("partitions must be 1 to 1,024"));
        }
        if config.settings.retention == Some(0) {
            return Err(bad("retention must be at least 1"));
        }
        Ok(config)
    }
}

/// The file that the URL names. What stands where other URLs have a host is the first part of a relative path.
fn path(url: &BrokerUrl) -> Result<PathBuf> {
    let bad = |text: &str| {
        Error::new(Kind::InvalidConfiguration, "connect", text)
            .on(url.to_string())
            .advice("it looks like sqlite:///absolute/path.db or sqlite://relative/path.db")
    };
    let first = match &url.hosts[..] {
        [] => "",
        [(name, None)] => name,
        _ => return Err(bad("a relative path begins with a name that has neither `,` nor `:`")),
    };
    if url.user.is_some() {
        return Err(bad("a file has no user; write `@` in a path as %40"));
    }
    match (first, url.path.as_deref()) {
        ("", None) => Err(bad("it names no file")),
        ("", Some(rest)) => Ok(PathBuf::from(format!("/{rest}"))),
        (first, None) => Ok(PathBuf::from(first)),
        (first, Some(rest)) => Ok(PathBuf::from(first).join(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<SqliteConfig> {
        SqliteConfig::from_url(&url.parse()?)
    }

    #[test]
    fn paths() {
        for (url, expected) in [
            ("sqlite:///var/lib/a.db", "/var/lib/a.db"),
            ("sqlite:///var/with%20space%3F.db", "/var/with space?.db"),
            ("sqlite://orders.db", "orders.db"),
            ("sqlite://./data/orders.db", "./data/orders.db"),
            ("sqlite://../orders.db", "../orders.db"),
        ] {
            assert_eq!(read(url).unwrap().path, PathBuf::from(expected), "{url}");
        }
    }

    #[test]
    fn what_does_not_read_is_refused() {
        for (url, told) in [
            ("sqlite://", "no file"),
            ("sqlite://a,b/c.db", "relative path"),
            ("sqlite://me@a.db", "no user"),
            ("sqlite:///a.db?partitions=0", "1,024"),
            ("sqlite:///a.db?sync=off", "neither full nor normal"),
            ("sqlite:///a.db?retension=1", "known are: partitions"),
        ] {
            let error = read(url).unwrap_err();
            assert!(error.to_string().contains(told), "{url}: {error}");
            assert_eq!(error.kind(), Kind::InvalidConfiguration);
        }
    }
}
