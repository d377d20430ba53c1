//! How to reach NATS, and what the operator states of it.

use std::time::Duration;

use anybroker_core::{BrokerUrl, Error, Kind, Parameters, Result, Secret, TlsFiles, TopologyMode};

/// The most partitions of a topic: each is a consumer of every group.
pub(crate) const MOST_PARTITIONS: u32 = 256;
/// How long a member may be silent, unless the bucket says something else.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// How a group's partitions are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// One message of a partition at a time, at the server (`max_ack_pending` 1).
    Strict,
    /// As many as the consumer has room for; order is kept by the client.
    Relaxed,
}

impl std::str::FromStr for Lanes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "strict" => Ok(Lanes::Strict),
            "relaxed" => Ok(Lanes::Relaxed),
            _ => Err("it is strict or relaxed".to_owned()),
        }
    }
}

impl Lanes {
    /// The word that the URL has for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Lanes::Strict => "strict",
            Lanes::Relaxed => "relaxed",
        }
    }
}

/// When the server writes through to the disk, as the operator states it: no request tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before every confirmation (`sync_interval: always` in the server's configuration).
    Always,
    /// Every two minutes or as configured; the server's default.
    Interval,
}

impl std::str::FromStr for Sync {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "always" => Ok(Sync::Always),
            "interval" => Ok(Sync::Interval),
            _ => Err("it is always or interval".to_owned()),
        }
    }
}

/// Who we are for the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// Nobody.
    #[default]
    None,
    /// User name and password.
    Password(String, Secret),
    /// A token.
    Token(Secret),
    /// The seed of an nkey.
    Nkey(Secret),
    /// The content of a credentials file: a JWT and the seed that it belongs to.
    Credentials(Secret),
}

/// Everything that [`open`](crate::open) needs. Parameters of a URL have the names of the fields.
///
/// ```
/// use anybroker_nats::NatsConfig;
/// let url = "nats://nats:4222?partitions=4&topology=create".parse()?;
/// let config = NatsConfig::from_url(&url)?;
/// assert_eq!((config.partitions, config.core), (Some(4), false));
/// # Ok::<(), anybroker_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NatsConfig {
    /// Hosts and ports, tried in turn.
    pub hosts: Vec<(String, u16)>,
    /// Core NATS, at most once, instead of JetStream (`nats+core://`).
    pub core: bool,
    /// Whether the connection must be encrypted (`tls://`, or a `tls_` parameter).
    pub tls: bool,
    /// Certificates and key, where the system's do not do.
    pub tls_files: TlsFiles,
    /// Who we are.
    pub login: Login,
    /// How often the client asks the connection for a sign of life; it counts as broken when two are missing.
    pub ping_interval: Duration,
    /// How long connecting, every request and closing may take.
    pub deadline: Duration,
    /// How long a message waits for the connection to come back, or for its confirmation.
    pub publish_deadline: Duration,
    /// What opening does about streams and consumers.
    pub topology: TopologyMode,
    /// How many subjects a topic is spread over. None: as it was declared; when creating, one.
    pub partitions: Option<u32>,
    /// How partitions are delivered. None: as the group was declared; when creating, relaxed.
    pub lanes: Option<Lanes>,
    /// The window in which the stream drops a message whose id it has already. None: as it is; when creating, 2 minutes.
    pub deduplication: Option<Duration>,
    /// How many replicas streams have. None: as they are; when creating, one.
    pub replicas: Option<usize>,
    /// How long a member of a group may be silent before its partitions pass on. None: as the bucket was declared; when
    /// creating, 10 seconds.
    pub session_timeout: Option<Duration>,
    /// Stated: when the server writes through to the disk.
    pub sync: Sync,
    /// Core NATS: how many messages the client holds for a consumer that is slow before it drops them.
    pub buffer: usize,
    /// The connection's name in the server's tools.
    pub name: String,
}

impl NatsConfig {
    /// The defaults for a server: no login, 10 s for everything.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        NatsConfig {
            hosts: vec![(host.into(), port)],
            core: false,
            tls: false,
            tls_files: TlsFiles::default(),
            login: Login::None,
            ping_interval: Duration::from_secs(5),
            deadline: Duration::from_secs(10),
            publish_deadline: Duration::from_secs(30),
            topology: TopologyMode::default(),
            partitions: None,
            lanes: None,
            deduplication: None,
            replicas: None,
            session_timeout: None,
            sync: Sync::Interval,
            buffer: 65_536,
            name: "anybroker".to_owned(),
        }
    }

    /// Reads a URL: `nats://user:password@host:4222?parameter=value`.
    ///
    /// # Errors
    /// `InvalidConfiguration` for another scheme, an unknown parameter, a value that does not read, or a file that is not
    /// there.
    pub fn from_url(url: &BrokerUrl) -> Result<Self> {
        let mut config = Self::new("localhost", 4222);
        (config.core, config.tls) = match url.scheme.as_str() {
            "nats" => (false, false),
            "tls" => (false, true),
            "nats+core" => (true, false),
            other => return Err(invalid(url, format!("`{other}` is not nats, tls or nats+core"))),
        };
        config.hosts = url.hosts.iter().map(|(host, port)| (host.clone(), port.unwrap_or(4222))).collect();
        if config.hosts.is_empty() {
            return Err(invalid(url, "it names no host"));
        }
        if url.path.is_some() {
            return Err(invalid(url, "NATS URLs have no path"));
        }
        let mut given = url.parameters();
        config.login = login(url, &mut given)?;
        config.tls_files = given.tls()?;
        if config.core {
            config.tls = !config.tls_files.is_empty();
        }
        config.tls_files.need_encryption(config.tls, "tls")?;
        config.read_parameters(&mut given)?;
        given.finish()?;
        config.validate().map_err(|error| error.on(url.to_string()))?;
        Ok(config)
    }

    fn read_parameters(&mut self, given: &mut Parameters) -> Result<()> {
        for (name, field) in [
            ("ping_interval", &mut self.ping_interval),
            ("deadline", &mut self.deadline),
            ("publish_deadline", &mut self.publish_deadline),
        ] {
            *field = given.duration(name)?.unwrap_or(*field);
        }
        if let Some(name) = given.text("name") {
            self.name = name;
        }
        if self.core {
            self.buffer = given.take("buffer")?.unwrap_or(self.buffer);
            return Ok(());
        }
        if let Some(mode) = given.take("topology")? {
            self.topology = mode;
        }
        self.partitions = given.take("partitions")?;
        self.lanes = given.take("lanes")?;
        self.replicas = given.take("replicas")?;
        self.deduplication = given.duration("deduplication")?;
        self.session_timeout = given.duration("session_timeout")?;
        self.sync = given.take("sync")?.unwrap_or(self.sync);
        Ok(())
    }

    /// Refuses what cannot work.
    ///
    /// # Errors
    /// `InvalidConfiguration` says which field and why.
    pub fn validate(&self) -> Result<()> {
        let bad = |text: String| Err(Error::new(Kind::InvalidConfiguration, "connect", text));
        if self.partitions.is_some_and(|n| !(1..=MOST_PARTITIONS).contains(&n)) {
            return bad(format!("partitions must be 1 to {MOST_PARTITIONS}"));
        }
        if self.deadline.is_zero() || self.publish_deadline.is_zero() || self.ping_interval.is_zero() {
            return bad("deadline, publish_deadline and ping_interval must not be 0".to_owned());
        }
        if self.replicas.is_some_and(|n| !(1..=5).contains(&n)) {
            return bad("replicas must be 1 to 5".to_owned());
        }
        if self.session_timeout.is_some_and(|t| t < Duration::from_secs(3) || t > Duration::from_secs(60)) {
            return bad("session_timeout must be 3 s to 60 s".to_owned());
        }
        if self.deduplication.is_some_and(|window| window < Duration::from_millis(100)) {
            return bad("deduplication must be 100 ms or more; JetStream always deduplicates".to_owned());
        }
        if self.buffer == 0 {
            return bad("buffer must be 1 or more".to_owned());
        }
        Ok(())
    }

    /// The session timeout of a bucket that is created.
    pub(crate) fn new_session_timeout(&self) -> Duration {
        self.session_timeout.unwrap_or(SESSION_TIMEOUT)
    }

    /// Where it connects to, without secrets.
    pub(crate) fn place(&self) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        let scheme = match (self.core, self.tls) {
            (true, _) => "nats+core",
            (false, true) => "tls",
            (false, false) => "nats",
        };
        format!("{scheme}://{}", hosts.join(","))
    }
}

/// One way to log in, or none.
fn login(url: &BrokerUrl, given: &mut Parameters) -> Result<Login> {
    let mut ways = Vec::new();
    ways.extend(given.secret("token")?.map(Login::Token));
    ways.extend(given.secret("nkey")?.map(Login::Nkey));
    ways.extend(given.secret("creds")?.map(Login::Credentials));
    let password = url.password(given)?;
    match (&url.user, password) {
        (Some(user), Some(password)) => ways.push(Login::Password(user.clone(), password)),
        (Some(_), None) => {
            let error = invalid(url, "it names a user without a password");
            return Err(error.advice("write user:password@, or password_file= or password_env="));
        }
        (None, Some(_)) => return Err(invalid(url, "it has a password without a user")),
        (None, None) => {}
    }
    if ways.len() > 1 {
        return Err(invalid(url, "it logs in in two ways: choose one of user, token, nkey and creds"));
    }
    Ok(ways.pop().unwrap_or_default())
}

fn invalid(url: &BrokerUrl, text: impl Into<String>) -> Error {
    Error::new(Kind::InvalidConfiguration, "connect", text).on(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<NatsConfig> {
        NatsConfig::from_url(&url.parse()?)
    }

    #[test]
    fn all_parts_of_a_url() {
        let config =
            config("tls://u:p@a,b:1?topology=create&partitions=4&lanes=strict&deduplication=30s&sync=always")
                .unwrap();
        assert_eq!(config.hosts, [("a".to_owned(), 4222), ("b".to_owned(), 1)]);
        assert_eq!(config.login, Login::Password("u".to_owned(), Secret::new("p")));
        assert_eq!((config.partitions, config.lanes), (Some(4), Some(Lanes::Strict)));
        assert_eq!((config.tls, config.core, config.sync), (true, false, Sync::Always));
        assert_eq!(config.deduplication, Some(Duration::from_secs(30)));
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        for (url, reason) in [
            ("http://h", "not nats"),
            ("nats://", "no host"),
            ("nats://h/path", "no path"),
            ("nats://h?partition=2", "no parameter `partition`"),
            ("nats://h?partitions=0", "1 to 256"),
            ("nats://h?lanes=fast", "strict or relaxed"),
            ("nats://h?session_timeout=1s", "3 s to 60 s"),
            ("nats://u@h", "without a password"),
            ("nats://u:p@h?token=t", "two ways"),
            ("nats+core://h?partitions=2", "no parameter `partitions`"),
            ("nats://h?nkey_file=/no/such/seed", "/no/such/seed"),
        ] {
            let error = config(url).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidConfiguration, "{url}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        for url in ["nats://u:hunter2@h", "nats://h?token=hunter2", "nats://h?nkey=hunter2"] {
            let config = config(url).unwrap();
            assert!(!format!("{config:?} {}", config.place()).contains("hunter2"));
        }
    }
}
