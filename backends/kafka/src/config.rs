//! Settings, from a URL or by hand, and what they become for librdkafka.

use std::fmt;
use std::time::Duration;

use anybroker_core::{BrokerUrl, Error, Kind, Result, Secret, TlsFiles, TopologyMode};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::{SCHEMES, native};

/// How to reach a Kafka cluster, and how publishers and consumers behave. `docs.rs` of each field says the URL's
/// parameter.
///
/// ```
/// use anybroker_kafka::KafkaConfig;
/// let by_url = KafkaConfig::from_url(&"kafka://h1,h2:9093?partitions=6".parse()?)?;
/// let by_hand = KafkaConfig::new(["h1:9092", "h2:9093"]).partitions(6);
/// assert_eq!(by_url, by_hand);
/// # Ok::<(), anybroker_core::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct KafkaConfig {
    pub(crate) brokers: Vec<String>,
    pub(crate) tls: bool,
    pub(crate) tls_files: TlsFiles,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) sasl: String,
    pub(crate) topology: TopologyMode,
    pub(crate) partitions: Option<u32>,
    pub(crate) replication: Option<u16>,
    pub(crate) group_protocol: GroupProtocol,
    pub(crate) session_timeout: Duration,
    pub(crate) commit_interval: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) message_timeout: Duration,
    pub(crate) linger: Duration,
    pub(crate) native: Vec<(String, String)>,
}

/// How a group shares out partitions (`group_protocol=classic|consumer`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The members share out among themselves; every broker has it. The default.
    #[default]
    Classic,
    /// The broker shares out (KIP-848); needs Kafka 4.0.
    Consumer,
}

impl std::str::FromStr for GroupProtocol {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "classic" => Ok(GroupProtocol::Classic),
            "consumer" => Ok(GroupProtocol::Consumer),
            _ => Err("it is neither classic nor consumer"),
        }
    }
}

/// The ways to log in with a user and a password.
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

impl KafkaConfig {
    /// The defaults for a cluster that answers at `brokers` (`host:port`), without encryption or login.
    pub fn new(brokers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        KafkaConfig {
            brokers: brokers.into_iter().map(Into::into).collect(),
            tls: false,
            tls_files: TlsFiles::default(),
            user: None,
            password: None,
            sasl: "PLAIN".to_owned(),
            topology: TopologyMode::default(),
            partitions: None,
            replication: None,
            group_protocol: GroupProtocol::default(),
            session_timeout: Duration::from_secs(10),
            commit_interval: Duration::from_millis(100),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(60),
            linger: Duration::from_millis(1),
            native: Vec::new(),
        }
    }

    /// Reads `kafka://user:password@h1:9092,h2?parameter=value` or `kafka+ssl://…`.
    ///
    /// Parameters: `tls_ca`, `tls_certificate`, `tls_key`, `password_file` or `password_env` instead of a password in the
    /// URL, `sasl`, `topology`, `partitions`, `replication`, `group_protocol`, `session_timeout`,
    /// `commit_interval`, `connect_timeout`, `request_timeout`, `close_timeout`, `message_timeout`, `linger`, and
    /// `x.NAME` for librdkafka's own settings.
    ///
    /// # Errors
    /// `InvalidConfiguration` names what is wrong.
    pub fn from_url(url: &BrokerUrl) -> Result<Self> {
        let invalid =
            |text: &str| Error::new(Kind::InvalidConfiguration, "connect", text).on(url.to_string());
        if !SCHEMES.contains(&url.scheme.as_str()) {
            return Err(invalid("the scheme is neither kafka nor kafka+ssl"));
        }
        if url.hosts.is_empty() || url.path.is_some() {
            return Err(invalid("a Kafka URL has hosts and no path, such as kafka://h1:9092,h2:9092"));
        }
        let mut config = KafkaConfig::new(url.addresses(9092));
        config.tls = url.scheme == "kafka+ssl";
        config.user = url.user.clone();
        config.read_parameters(url)?;
        config.check().map_err(|error| error.on(url.to_string()))?;
        Ok(config)
    }

    fn read_parameters(&mut self, url: &BrokerUrl) -> Result<()> {
        let mut parameters = url.parameters();
        if let Some(mode) = parameters.text("topology") {
            self.topology = mode.parse()?;
        }
        self.partitions = parameters.take("partitions")?;
        self.replication = parameters.take("replication")?;
        self.tls_files = parameters.tls()?;
        self.password = url.password(&mut parameters)?;
        if let Some(mechanism) = parameters.text("sasl") {
            if self.user.is_none() {
                let text = "sasl= says how to log in, and the URL has no user";
                return Err(Error::new(Kind::InvalidConfiguration, "connect", text)
                    .on(url.to_string())
                    .advice("write kafka://user:password@host, or leave sasl= out"));
            }
            self.sasl = mechanism;
        }
        self.group_protocol = parameters.take("group_protocol")?.unwrap_or_default();
        let durations = [
            ("session_timeout", &mut self.session_timeout),
            ("commit_interval", &mut self.commit_interval),
            ("connect_timeout", &mut self.connect_timeout),
            ("request_timeout", &mut self.request_timeout),
            ("close_timeout", &mut self.close_timeout),
            ("message_timeout", &mut self.message_timeout),
            ("linger", &mut self.linger),
        ];
        for (name, setting) in durations {
            if let Some(value) = parameters.duration(name)? {
                *setting = value;
            }
        }
        self.native = parameters.native();
        parameters.finish()
    }

    /// Refuses what cannot hold, before any connection is made.
    ///
    /// # Errors
    /// `InvalidConfiguration` names the setting.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |text: String| Err(Error::new(Kind::InvalidConfiguration, "connect", text));
        if self.brokers.is_empty() {
            return invalid("no broker is named".to_owned());
        }
        if self.partitions == Some(0) || self.replication == Some(0) {
            return invalid("partitions and replication are at least 1".to_owned());
        }
        if self.user.is_some() != self.password.is_some() {
            return invalid(
                "a login needs both a user and a password (user:password@, password_file=, password_env=)"
                    .to_owned(),
            );
        }
        if self.user.is_some() && !MECHANISMS.contains(&self.sasl.as_str()) {
            return invalid(format!("sasl is one of {}", MECHANISMS.join(", ")));
        }
        self.tls_files.need_encryption(self.tls, "kafka+ssl://")?;
        if let Some(text) = self.native.iter().find_map(|(name, _)| native::refusal(name)) {
            return invalid(text);
        }
        self.base().create_native_config().map(|_| ()).map_err(|error| crate::error::of("connect", error))
    }

    /// Encrypts the connection (`kafka+ssl://`).
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Encrypts the connection with these files (`tls_ca=`, `tls_certificate=`, `tls_key=`).
    pub fn tls_files(mut self, files: TlsFiles) -> Self {
        self.tls_files = files;
        self.tls()
    }

    /// Logs in (`user:password@` in the URL) by the mechanism `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512` (`sasl=`).
    pub fn login(mut self, user: impl Into<String>, password: Secret, mechanism: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self.password = Some(password);
        self.sasl = mechanism.into();
        self
    }

    /// What opening a publisher or consumer does about the topic (`topology=`).
    pub fn topology(mut self, mode: TopologyMode) -> Self {
        self.topology = mode;
        self
    }

    /// The partitions of topics that are created (`partitions=`); the broker's default otherwise.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// The replicas of topics that are created (`replication=`); the broker's default otherwise.
    pub fn replication(mut self, replicas: u16) -> Self {
        self.replication = Some(replicas);
        self
    }

    /// How groups share out partitions (`group_protocol=`).
    pub fn group_protocol(mut self, protocol: GroupProtocol) -> Self {
        self.group_protocol = protocol;
        self
    }

    /// How long a silent member keeps its partitions (`session_timeout=`, 10 s). With the consumer protocol the broker
    /// decides.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// How often acknowledgements are committed (`commit_interval=`, 100 ms).
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.commit_interval = interval;
        self
    }

    /// How long connecting may take (`connect_timeout=`, 10 s).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long any other request may take (`request_timeout=`, 10 s).
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long closing may take (`close_timeout=`, 10 s).
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// How long a publish is tried, also while the broker is away (`message_timeout=`, 60 s).
    pub fn message_timeout(mut self, timeout: Duration) -> Self {
        self.message_timeout = timeout;
        self
    }

    /// How long a batch waits for more messages (`linger=`, 1 ms).
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Passes one of librdkafka's own settings through (`x.NAME=`).
    pub fn native(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.native.push((name.into(), value.into()));
        self
    }

    /// What every client needs.
    pub(crate) fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        let protocol = match (self.tls, self.user.is_some()) {
            (false, false) => "plaintext",
            (false, true) => "sasl_plaintext",
            (true, false) => "ssl",
            (true, true) => "sasl_ssl",
        };
        let setup = (self.connect_timeout / 2).max(Duration::from_secs(1));
        config
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", "anybroker")
            .set("security.protocol", protocol)
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            // One attempt that hangs, as when the broker's backlog was full, leaves time for another.
            .set("socket.connection.setup.timeout.ms", setup.as_millis().to_string())
            .set("reconnect.backoff.max.ms", "2000");
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            config
                .set("sasl.mechanism", &self.sasl)
                .set("sasl.username", user)
                .set("sasl.password", password.expose());
        }
        for (name, file) in [
            ("ssl.ca.location", &self.tls_files.ca),
            ("ssl.certificate.location", &self.tls_files.certificate),
            ("ssl.key.location", &self.tls_files.key),
        ] {
            if let Some(file) = file {
                config.set(name, file.to_string_lossy());
            }
        }
        for (name, value) in &self.native {
            config.set(name, value);
        }
        config.set_log_level(RDKafkaLogLevel::Notice);
        config
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Native settings are named without their values, which may be secrets.
        let native: Vec<_> = self.native.iter().map(|(name, _)| name).collect();
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("tls", &self.tls)
            .field("tls_files", &self.tls_files)
            .field("user", &self.user)
            .field("topology", &self.topology)
            .field("native", &native)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<KafkaConfig> {
        KafkaConfig::from_url(&url.parse().unwrap())
    }

    #[test]
    fn every_parameter_is_read() {
        let config = read(
            "kafka://h?topology=create&partitions=3&replication=2&group_protocol=consumer&session_timeout=6s\
             &commit_interval=1s&connect_timeout=2s&request_timeout=3s&close_timeout=4s&message_timeout=5s\
             &linger=7ms&x.compression.codec=zstd",
        )
        .unwrap();
        let expected = KafkaConfig::new(["h:9092"])
            .topology(TopologyMode::Create)
            .partitions(3)
            .replication(2)
            .group_protocol(GroupProtocol::Consumer)
            .session_timeout(Duration::from_secs(6))
            .commit_interval(Duration::from_secs(1))
            .connect_timeout(Duration::from_secs(2))
            .request_timeout(Duration::from_secs(3))
            .close_timeout(Duration::from_secs(4))
            .message_timeout(Duration::from_secs(5))
            .linger(Duration::from_millis(7))
            .native("compression.codec", "zstd");
        assert_eq!(config, expected);
    }

    #[test]
    fn mistakes_are_named() {
        for (url, part) in [
            ("kafka://h?partition=3", "`partition`"),
            ("kafka://h?partitions=0", "at least 1"),
            ("kafka://h/path", "no path"),
            ("kafka://h?x.acks=1", "x.acks"),
            ("kafka://h?x.linger.ms=5", "linger="),
            ("kafka://h?x.nonsense=1", "nonsense"),
            ("kafka://user@h", "password"),
            ("kafka://h?password_env=HOME", "user"),
            ("kafka://u:p@h?sasl=SCRAM", "SCRAM-SHA-512"),
            ("kafka://h?sasl=PLAIN", "no user"),
            ("kafka://h?tls_ca=Cargo.toml", "kafka+ssl://"),
            ("kafka+ssl://h?x.enable.ssl.certificate.verification=false", "guarantees rest on it"),
            ("kafka://h?topology=maybe", "topology=maybe"),
        ] {
            let error = read(url).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidConfiguration, "{url}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn files_and_a_password_from_elsewhere_reach_the_client() {
        let files = "tls_ca=Cargo.toml&tls_certificate=src/lib.rs&tls_key=src/config.rs";
        let url = format!("kafka+ssl://u@h?{files}&password_env=CARGO_PKG_NAME&sasl=SCRAM-SHA-256");
        let native = read(&url).unwrap().base();
        assert_eq!(native.get("sasl.password"), Some("anybroker-kafka"));
        assert_eq!(native.get("ssl.ca.location"), Some("Cargo.toml"));
        let config = KafkaConfig::new(["h:9092"]).tls_files(TlsFiles {
            ca: Some("a".into()),
            certificate: Some("b".into()),
            key: Some("c".into()),
        });
        let native = config.base();
        assert_eq!(native.get("security.protocol"), Some("ssl"));
        let given = ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location"];
        assert_eq!(given.map(|name| native.get(name)), [Some("a"), Some("b"), Some("c")]);
    }

    #[test]
    fn a_login_turns_sasl_on_and_is_not_shown() {
        let config =
            read("kafka+ssl://alice:hunter2@h?sasl=SCRAM-SHA-512&x.ssl.key.password=hunter2").unwrap();
        let native = config.base();
        assert_eq!(native.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(native.get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
