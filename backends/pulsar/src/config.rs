//! How to reach Pulsar, and what the operator states of it.

use std::time::Duration;

use anybroker_core::{BrokerUrl, Error, Kind, Parameters, Result, Secret, TlsFiles, TopologyMode};

/// The most partitions that are asked for: each is a topic of its own at the broker.
const MOST_PARTITIONS: u32 = 256;
/// A broker takes a client for dead after 30 s of silence, or later: its `keepAliveIntervalSeconds`. So often must a member
/// have stopped before.
const MOST_KEEP_ALIVE: Duration = Duration::from_secs(9);
const PORT: u16 = 6650;
const TLS_PORT: u16 = 6651;

/// How the members of a group share a topic's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionType {
    /// All members consume; a key has one of them at a time. The default.
    #[default]
    KeyShared,
    /// A partition has one active member, and the others take over.
    Failover,
    /// There is one member, and a second one is refused.
    Exclusive,
}

impl std::str::FromStr for SubscriptionType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "key_shared" => Ok(SubscriptionType::KeyShared),
            "failover" => Ok(SubscriptionType::Failover),
            "exclusive" => Ok(SubscriptionType::Exclusive),
            "shared" => {
                Err("a shared subscription keeps no order; it is key_shared, failover or exclusive".into())
            }
            _ => Err("it is key_shared, failover or exclusive".to_owned()),
        }
    }
}

/// Whether bookies write through to the disk before they confirm, as the operator states it: no request tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// `journalSyncData=true`, which is BookKeeper's default.
    Sync,
    /// `journalSyncData=false`.
    Async,
}

impl std::str::FromStr for Journal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sync" => Ok(Journal::Sync),
            "async" => Ok(Journal::Async),
            _ => Err("it is sync or async".to_owned()),
        }
    }
}

/// Everything that [`open`](crate::open) needs. Parameters of a URL have the names of the fields.
///
/// ```
/// use anybroker_pulsar::PulsarConfig;
/// let url = "pulsar://pulsar:6650/shop/orders?partitions=6&subscription_type=failover".parse()?;
/// let config = PulsarConfig::from_url(&url)?;
/// assert_eq!((config.namespace.as_str(), config.partitions), ("shop/orders", Some(6)));
/// # Ok::<(), anybroker_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PulsarConfig {
    /// Hosts and ports of brokers or proxies, tried in turn.
    pub hosts: Vec<(String, u16)>,
    /// Whether connections are encrypted (`pulsar+ssl`).
    pub tls: bool,
    /// The authorities to trust and the client's certificate (`tls_ca`, `tls_certificate`, `tls_key`). They are read again
    /// for every connection.
    pub tls_files: TlsFiles,
    /// The token to log in with (in a URL also `token_file` or `token_env`). Without one, a client's certificate logs in.
    pub token: Option<Secret>,
    /// Tenant and namespace of all topics: the path of the URL; `public/default` if there is none.
    pub namespace: String,
    /// Where the admin interface answers. None: on the first host, port 8080, or 8443 encrypted.
    pub admin: Option<String>,
    /// How the members of a group share its messages.
    pub subscription_type: SubscriptionType,
    /// How often the client asks for a sign of life; a connection counts as broken when two are missing.
    pub keep_alive: Duration,
    /// How long connecting, every request and closing may take.
    pub deadline: Duration,
    /// How long a message waits for the connection to come back, or for its receipt.
    pub publish_deadline: Duration,
    /// What opening does about topics and subscriptions.
    pub topology: TopologyMode,
    /// How many partitions a topic has. None: as it is; when creating, it is not partitioned.
    pub partitions: Option<u32>,
    /// For how long a topic that is created keeps its messages, whether or not they were acknowledged. Zero leaves it to
    /// the namespace.
    pub retention: Duration,
    /// Stated: whether bookies write through to the disk.
    pub journal: Option<Journal>,
    /// The client's name in the broker's tools.
    pub name: String,
}

impl PulsarConfig {
    /// The defaults for a server: nobody's login, `public/default`, 10 s for everything, a week of retention.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        PulsarConfig {
            hosts: vec![(host.into(), port)],
            tls: false,
            tls_files: TlsFiles::default(),
            token: None,
            namespace: "public/default".to_owned(),
            admin: None,
            subscription_type: SubscriptionType::default(),
            keep_alive: Duration::from_secs(5),
            deadline: Duration::from_secs(10),
            publish_deadline: Duration::from_secs(30),
            topology: TopologyMode::default(),
            partitions: None,
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            journal: None,
            name: "anybroker".to_owned(),
        }
    }

    /// Reads a URL: `pulsar://host:6650/tenant/namespace?parameter=value`.
    ///
    /// # Errors
    /// `InvalidConfiguration` for another scheme, an unknown parameter or a value that does not read.
    pub fn from_url(url: &BrokerUrl) -> Result<Self> {
        let mut config = Self::new("localhost", PORT);
        config.tls = match url.scheme.as_str() {
            "pulsar" => false,
            "pulsar+ssl" => true,
            other => return Err(invalid(url, format!("`{other}` is not pulsar or pulsar+ssl"))),
        };
        let port = if config.tls { TLS_PORT } else { PORT };
        config.hosts = url.hosts.iter().map(|(host, given)| (host.clone(), given.unwrap_or(port))).collect();
        if config.hosts.is_empty() {
            return Err(invalid(url, "it names no host"));
        }
        if url.user.is_some() || url.password.is_some() {
            let error = invalid(url, "Pulsar has no user names");
            return Err(error.advice("log in with token=, token_file= or token_env=, or with a certificate"));
        }
        if let Some(path) = &url.path {
            config.namespace = path.trim_end_matches('/').to_owned();
        }
        let mut given = url.parameters();
        config.read_parameters(&mut given)?;
        given.finish()?;
        config.validate().map_err(|error| error.on(url.to_string()))?;
        Ok(config)
    }

    fn read_parameters(&mut self, given: &mut Parameters) -> Result<()> {
        self.tls_files = given.tls()?;
        self.token = given.secret("token")?;
        self.admin = given.text("admin").map(|url| url.trim_end_matches('/').to_owned());
        self.subscription_type = given.take("subscription_type")?.unwrap_or_default();
        self.topology = given.take("topology")?.unwrap_or_default();
        self.partitions = given.take("partitions")?;
        self.journal = given.take("journal")?;
        for (name, field) in [
            ("keep_alive", &mut self.keep_alive),
            ("deadline", &mut self.deadline),
            ("publish_deadline", &mut self.publish_deadline),
            ("retention", &mut self.retention),
        ] {
            *field = given.duration(name)?.unwrap_or(*field);
        }
        if let Some(name) = given.text("name") {
            self.name = name;
        }
        Ok(())
    }

    /// Refuses what cannot work.
    ///
    /// # Errors
    /// `InvalidConfiguration` says which field and why.
    pub fn validate(&self) -> Result<()> {
        let bad = |text: String| Err(Error::new(Kind::InvalidConfiguration, "connect", text));
        let legal = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_=:.".contains(c))
        };
        if self.namespace.split('/').count() != 2 || !self.namespace.split('/').all(legal) {
            return bad(format!(
                "`{}` is no tenant/namespace; Pulsar's own is public/default",
                self.namespace
            ));
        }
        if self.partitions.is_some_and(|n| !(1..=MOST_PARTITIONS).contains(&n)) {
            return bad(format!("partitions must be 1 to {MOST_PARTITIONS}"));
        }
        if self.deadline.is_zero() || self.publish_deadline.is_zero() {
            return bad("deadline and publish_deadline must not be 0".to_owned());
        }
        if self.keep_alive < Duration::from_millis(100) || self.keep_alive > MOST_KEEP_ALIVE {
            return bad(format!(
                "keep_alive must be 100 ms to {MOST_KEEP_ALIVE:?}: a member must stop before the broker gives up on it"
            ));
        }
        if !self.retention.is_zero() && self.retention < Duration::from_secs(60) {
            return bad("retention is kept in minutes: 1m or more, or 0s".to_owned());
        }
        self.tls_files.need_encryption(self.tls, "pulsar+ssl://")?;
        crate::http::Address::parse(&self.admin())?;
        Ok(())
    }

    /// The admin interface's URL.
    pub(crate) fn admin(&self) -> String {
        let host = self.hosts.first().map_or("localhost", |(host, _)| host);
        match (&self.admin, self.tls) {
            (Some(admin), _) => admin.clone(),
            (None, true) => format!("https://{host}:8443"),
            (None, false) => format!("http://{host}:8080"),
        }
    }

    /// How long a member that hears nothing goes on handing out what it has.
    pub(crate) fn patience(&self) -> Duration {
        self.keep_alive * 3
    }

    /// Where it connects to, without secrets.
    pub(crate) fn place(&self) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        let scheme = if self.tls { "pulsar+ssl" } else { "pulsar" };
        format!("{scheme}://{}/{}", hosts.join(","), self.namespace)
    }
}

fn invalid(url: &BrokerUrl, text: impl Into<String>) -> Error {
    Error::new(Kind::InvalidConfiguration, "connect", text).on(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<PulsarConfig> {
        PulsarConfig::from_url(&url.parse()?)
    }

    #[test]
    fn all_parts_of_a_url() {
        let config =
            config("pulsar+ssl://a,b:1/t/n?topology=create&partitions=4&token=s&journal=sync").unwrap();
        assert_eq!(config.hosts, [("a".to_owned(), 6651), ("b".to_owned(), 1)]);
        assert_eq!((config.namespace.as_str(), config.partitions), ("t/n", Some(4)));
        assert_eq!(config.admin(), "https://a:8443");
        assert_eq!((config.topology, config.journal), (TopologyMode::Create, Some(Journal::Sync)));
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        for (url, reason) in [
            ("http://h", "not pulsar"),
            ("pulsar://", "no host"),
            ("pulsar://h/public", "no tenant/namespace"),
            ("pulsar://h/a/b/c", "no tenant/namespace"),
            ("pulsar://u:p@h", "no user names"),
            ("pulsar://h?partition=2", "no parameter `partition`"),
            ("pulsar://h?partitions=0", "1 to 256"),
            ("pulsar://h?keep_alive=10s", "before the broker"),
            ("pulsar://h?subscription_type=shared", "no order"),
            ("pulsar://h?retention=1s", "minutes"),
            ("pulsar://h?admin=h:8080", "http://"),
            ("pulsar://h?tls_ca=Cargo.toml", "pulsar+ssl://"),
        ] {
            let error = config(url).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidConfiguration, "{url}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn the_token_is_not_shown() {
        let config = config("pulsar://h?token=hunter2").unwrap();
        assert!(!format!("{config:?} {}", config.place()).contains("hunter2"));
    }
}
