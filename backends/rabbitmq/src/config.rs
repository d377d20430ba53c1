//! How to reach RabbitMQ, and what the operator states of it.

use std::time::Duration;

use anybroker_core::{BrokerUrl, Error, Kind, Result, Secret, TlsFiles, TopologyMode};

use crate::slots::SLOTS;

/// The type of a group's queues, as the operator states it where nothing is looked at (`topology=ignore`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueType {
    /// A replicated log that is written through to the disk.
    Quorum,
    /// A queue of one node.
    Classic,
}

impl std::str::FromStr for QueueType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "quorum" => Ok(QueueType::Quorum),
            "classic" => Ok(QueueType::Classic),
            _ => Err("it is quorum or classic".to_owned()),
        }
    }
}

/// How the connection logs in (`auth=password|external`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// By user and password. The default.
    #[default]
    Password,
    /// As the user whom the client's certificate names; the server needs the plugin `rabbitmq_auth_mechanism_ssl`.
    External,
}

impl std::str::FromStr for Auth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "password" => Ok(Auth::Password),
            "external" => Ok(Auth::External),
            _ => Err("it is password or external".to_owned()),
        }
    }
}

/// Everything that [`open`](crate::open) needs. Parameters of a URL have the names of the fields.
///
/// ```
/// use anybroker_rabbitmq::RabbitConfig;
/// let url = "amqp://app:secret@rabbit:5672/shop?partitions=6&heartbeat=5s".parse()?;
/// let config = RabbitConfig::from_url(&url)?;
/// assert_eq!((config.virtual_host.as_str(), config.partitions), ("shop", Some(6)));
/// # Ok::<(), anybroker_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RabbitConfig {
    /// Hosts and ports, tried in turn.
    pub hosts: Vec<(String, u16)>,
    /// Whether the connection is encrypted (`amqps`).
    pub tls: bool,
    /// The authorities to trust and the client's certificate (`tls_ca`, `tls_certificate`, `tls_key`). They are read
    /// again for every connection.
    pub tls_files: TlsFiles,
    /// How the connection logs in.
    pub auth: Auth,
    /// The user name; not used with [`Auth::External`].
    pub user: String,
    /// The password (in a URL also `password_file` or `password_env`); not used with [`Auth::External`].
    pub password: Secret,
    /// The virtual host.
    pub virtual_host: String,
    /// How often both sides show that they live; twice as long without a sign breaks the connection.
    pub heartbeat: Duration,
    /// How long connecting, every request and closing may take.
    pub deadline: Duration,
    /// How long a message waits for the connection to come back, or for its confirmation.
    pub publish_deadline: Duration,
    /// What opening does about exchanges and queues.
    pub topology: TopologyMode,
    /// How many queues a group is spread over. None: as it was declared; when creating, one queue.
    pub partitions: Option<u32>,
    /// Stated: the type of the queues, for `topology=ignore`.
    pub queue: Option<QueueType>,
    /// Stated: on how many nodes every queue has a replica. AMQP cannot tell.
    pub replicas: Option<u32>,
    /// Stated: the server's `max_message_size`, if it is not the version's default.
    pub max_message_bytes: Option<usize>,
    /// The connection's name in the broker's tools.
    pub name: String,
}

impl RabbitConfig {
    /// The defaults for a server: `guest`, virtual host `/`, 10 s for everything.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        RabbitConfig {
            hosts: vec![(host.into(), port)],
            tls: false,
            tls_files: TlsFiles::default(),
            auth: Auth::default(),
            user: "guest".to_owned(),
            password: Secret::new("guest"),
            virtual_host: "/".to_owned(),
            heartbeat: Duration::from_secs(10),
            deadline: Duration::from_secs(10),
            publish_deadline: Duration::from_secs(30),
            topology: TopologyMode::default(),
            partitions: None,
            queue: None,
            replicas: None,
            max_message_bytes: None,
            name: "anybroker".to_owned(),
        }
    }

    /// Reads a URL: `amqp://user:password@host:5672/virtual-host?parameter=value`.
    ///
    /// # Errors
    /// `InvalidConfiguration` for another scheme, an unknown parameter or a value that does not read.
    pub fn from_url(url: &BrokerUrl) -> Result<Self> {
        let tls = match url.scheme.as_str() {
            "amqp" => false,
            "amqps" => true,
            other => return Err(invalid(url, format!("`{other}` is not amqp or amqps"))),
        };
        let mut config = Self::new("localhost", 0);
        config.tls = tls;
        let default_port = if tls { 5671 } else { 5672 };
        config.hosts =
            url.hosts.iter().map(|(host, port)| (host.clone(), port.unwrap_or(default_port))).collect();
        if config.hosts.is_empty() {
            return Err(invalid(url, "it names no host"));
        }
        if let Some(path) = &url.path {
            config.virtual_host = path.clone();
        }
        config.read_parameters(url)?;
        config.validate().map_err(|error| error.on(url.to_string()))?;
        Ok(config)
    }

    fn read_parameters(&mut self, url: &BrokerUrl) -> Result<()> {
        let mut given = url.parameters();
        self.tls_files = given.tls()?;
        self.auth = given.take("auth")?.unwrap_or_default();
        self.read_login(url, url.password(&mut given)?)?;
        if let Some(mode) = given.take("topology")? {
            self.topology = mode;
        }
        self.partitions = given.take("partitions")?;
        self.queue = given.take("queue")?;
        self.replicas = given.take("replicas")?;
        self.max_message_bytes = given.take("max_message_bytes")?;
        for (name, field) in [
            ("heartbeat", &mut self.heartbeat),
            ("deadline", &mut self.deadline),
            ("publish_deadline", &mut self.publish_deadline),
        ] {
            *field = given.duration(name)?.unwrap_or(*field);
        }
        if let Some(name) = given.text("name") {
            self.name = name;
        }
        given.finish()
    }

    fn read_login(&mut self, url: &BrokerUrl, password: Option<Secret>) -> Result<()> {
        if self.auth == Auth::External && (url.user.is_some() || password.is_some()) {
            return Err(invalid(
                url,
                "with auth=external the certificate names the user; leave user and password out",
            ));
        }
        match (&url.user, password) {
            (Some(user), password) => {
                self.user = user.clone();
                self.password = password.unwrap_or_else(|| Secret::new(""));
            }
            (None, Some(_)) => return Err(invalid(url, "a password needs a user: user@host")),
            (None, None) => {}
        }
        Ok(())
    }

    /// Refuses what cannot work.
    ///
    /// # Errors
    /// `InvalidConfiguration` says which field and why.
    pub fn validate(&self) -> Result<()> {
        let bad = |text: String| Err(Error::new(Kind::InvalidConfiguration, "connect", text));
        if self.partitions.is_some_and(|n| !(1..=SLOTS).contains(&n)) {
            return bad(format!("partitions must be 1 to {SLOTS}"));
        }
        if !(1..=u16::MAX.into()).contains(&self.heartbeat.as_secs()) {
            return bad("heartbeat must be 1 s or more".to_owned());
        }
        if self.deadline.is_zero() || self.publish_deadline.is_zero() {
            return bad("deadline and publish_deadline must not be 0".to_owned());
        }
        if self.queue.is_some() && self.topology != TopologyMode::Ignore {
            return bad("queue= only states what topology=ignore does not look at".to_owned());
        }
        if self.replicas == Some(0) {
            return bad("replicas must be 1 or more".to_owned());
        }
        self.tls_files.need_encryption(self.tls, "amqps://")?;
        if self.auth == Auth::External && self.tls_files.certificate.is_none() {
            return bad("auth=external needs a certificate: tls_certificate= and tls_key=".to_owned());
        }
        if self.virtual_host.len() > 255 {
            return bad("the name of the virtual host is longer than 255 bytes".to_owned());
        }
        Ok(())
    }

    /// Where it connects to, without secrets.
    pub(crate) fn place(&self) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        let scheme = if self.tls { "amqps" } else { "amqp" };
        let user = match self.auth {
            Auth::Password => format!("{}@", self.user),
            Auth::External => String::new(),
        };
        format!("{scheme}://{user}{}/{}", hosts.join(","), self.virtual_host)
    }
}

fn invalid(url: &BrokerUrl, text: impl Into<String>) -> Error {
    Error::new(Kind::InvalidConfiguration, "connect", text).on(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<RabbitConfig> {
        RabbitConfig::from_url(&url.parse()?)
    }

    #[test]
    fn all_parts_of_a_url() {
        let config =
            config("amqps://u:p@a,b:1/%2f?topology=create&partitions=4&deadline=3s&replicas=3").unwrap();
        assert_eq!(config.hosts, [("a".to_owned(), 5671), ("b".to_owned(), 1)]);
        assert_eq!((config.virtual_host.as_str(), config.password.expose()), ("/", "p"));
        assert_eq!((config.partitions, config.replicas), (Some(4), Some(3)));
        assert_eq!((config.topology, config.deadline), (TopologyMode::Create, Duration::from_secs(3)));
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        for (url, reason) in [
            ("http://h", "not amqp"),
            ("amqp://", "no host"),
            ("amqp://h?partition=2", "no parameter `partition`"),
            ("amqp://h?partitions=0", "1 to 256"),
            ("amqp://h?heartbeat=1ms", "1 s or more"),
            ("amqp://h?queue=quorum", "topology=ignore"),
            ("amqp://h?tls_ca=Cargo.toml", "amqps://"),
            ("amqps://h?auth=external", "tls_certificate="),
            ("amqps://h?auth=kerberos", "password or external"),
            ("amqps://u@h?auth=external&tls_certificate=Cargo.toml&tls_key=Cargo.toml", "names the user"),
            ("amqp://h?password_env=HOME", "needs a user"),
            ("amqp://h?queue=stream&topology=ignore", "quorum or classic"),
        ] {
            let error = config(url).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidConfiguration, "{url}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn the_login_may_come_from_elsewhere() {
        let config = config("amqp://u@h?password_env=CARGO_PKG_NAME").unwrap();
        assert_eq!((config.user.as_str(), config.password.expose()), ("u", "anybroker-rabbitmq"));
        let files = "tls_ca=Cargo.toml&tls_certificate=Cargo.toml&tls_key=Cargo.toml";
        let config = self::config(&format!("amqps://h?auth=external&{files}")).unwrap();
        assert_eq!((config.auth, config.tls_files.ca.clone()), (Auth::External, Some("Cargo.toml".into())));
        assert_eq!(config.place(), "amqps://h:5671//");
    }

    #[test]
    fn passwords_are_not_shown() {
        let config = config("amqp://u:hunter2@h").unwrap();
        assert!(!format!("{config:?} {}", config.place()).contains("hunter2"));
    }
}
