//! How to reach SQS, and how queues, publishers and consumers behave there.

use std::time::Duration;

use anybroker_core::{
    BrokerUrl, Durability, Error, Group, Kind, Level, Result, Secret, TlsFiles, TopologyMode,
};

/// The longest that SQS lets a message stay invisible:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html>.
pub(crate) const LONGEST_LEASE: Duration = Duration::from_secs(12 * 60 * 60);
/// The most entries of a batch.
pub(crate) const BATCH: usize = 10;

/// Everything that [`open`](crate::open) needs. Parameters of a URL have the names of the fields.
///
/// ```
/// use anybroker_sqs::SqsConfig;
/// let url = "sqs://eu-west-1?prefix=shop-&visibility=60s".parse()?;
/// let config = SqsConfig::from_url(&url)?;
/// assert_eq!((config.region.as_str(), config.prefix.as_str()), ("eu-west-1", "shop-"));
/// # Ok::<(), anybroker_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqsConfig {
    /// The region: the URL's host.
    pub region: String,
    /// Another address than the region's: an emulator, a VPC endpoint.
    pub endpoint: Option<String>,
    /// The account that owns the queues, if it is not the caller's.
    pub account: Option<String>,
    /// What every queue's name begins with.
    pub prefix: String,
    /// An access key: `user:password@` of the URL, or `user@` with `password_file=` or `password_env=`.
    pub access_key: Option<(String, Secret)>,
    /// The session token of a temporary access key (`session_token=`, `session_token_file=`, `session_token_env=`).
    pub session_token: Option<Secret>,
    /// The profile of the AWS configuration files.
    pub profile: Option<String>,
    /// The certificate authority of the endpoint (`tls_ca=`).
    pub tls: TlsFiles,
    /// What opening does about queues.
    pub topology: TopologyMode,
    /// The groups of every topic, each with a queue of its own that the publisher sends to
    /// (`fan_out=publisher&groups=a,b`). Empty: a topic has one queue, and one group.
    pub groups: Vec<Group>,
    /// How long SQS leaves a received message to its consumer before somebody else gets it; the consumer extends it. In
    /// whole seconds.
    pub visibility: Duration,
    /// How long the application may hold a delivery.
    pub lease_limit: Duration,
    /// How long a request for messages waits at the server. In whole seconds, 20 at most.
    pub wait: Duration,
    /// The most requests for messages that one consumer has under way.
    pub receivers: usize,
    /// The most requests that one publisher has under way.
    pub requests: usize,
    /// The most messages of one key in one request. With more than one, a message can be stored although an earlier one of
    /// its key failed.
    pub key_batch: usize,
    /// How long a created queue keeps messages.
    pub retention: Duration,
    /// Stated: the queues' redrive policy moves messages away after this many receives, and that is meant.
    pub redrive: Option<u32>,
    /// Stated: what a confirmed message survives at another `endpoint` than Amazon's.
    pub durability: Option<Durability>,
    /// How long every request and closing may take.
    pub deadline: Duration,
}

impl SqsConfig {
    /// The defaults for a region: one queue a topic, 30 s of visibility, waits of 20 s.
    pub fn new(region: impl Into<String>) -> Self {
        SqsConfig {
            region: region.into(),
            endpoint: None,
            account: None,
            prefix: String::new(),
            access_key: None,
            session_token: None,
            profile: None,
            tls: TlsFiles::default(),
            topology: TopologyMode::default(),
            groups: Vec::new(),
            visibility: Duration::from_secs(30),
            lease_limit: LONGEST_LEASE,
            wait: Duration::from_secs(20),
            receivers: 4,
            requests: 16,
            key_batch: 1,
            retention: Duration::from_secs(4 * 24 * 60 * 60),
            redrive: None,
            durability: None,
            deadline: Duration::from_secs(10),
        }
    }

    /// Reads a URL: `sqs://region?parameter=value`, or `sqs://access-key-id:secret@region`.
    ///
    /// # Errors
    /// `InvalidConfiguration` for another scheme, an unknown parameter or a value that does not read.
    pub fn from_url(url: &BrokerUrl) -> Result<Self> {
        let region = match url.hosts.as_slice() {
            [(region, None)] if url.path.is_none() && url.scheme == "sqs" => region,
            _ => {
                let advice = "it looks like sqs://us-east-1; another address than Amazon's is endpoint=http://host:port";
                return Err(invalid(url, "the URL is not `sqs://` with a region".to_owned()).advice(advice));
            }
        };
        let mut config = Self::new(region.clone());
        config.read_parameters(url)?;
        config.validate().map_err(|error| error.on(url.to_string()))?;
        Ok(config)
    }

    fn read_parameters(&mut self, url: &BrokerUrl) -> Result<()> {
        let mut given = url.parameters();
        self.endpoint = given.text("endpoint");
        self.account = given.text("account");
        self.prefix = given.text("prefix").unwrap_or_default();
        self.profile = given.text("profile");
        self.session_token = given.secret("session_token")?;
        let password = url.password(&mut given)?;
        self.access_key = match (&url.user, password) {
            (Some(user), Some(password)) => Some((user.clone(), password)),
            (None, None) => None,
            _ => {
                return Err(invalid(url, "an access key id and its secret go together".to_owned()).advice(
                    "sqs://ID:SECRET@region, or sqs://ID@region with password_file= or password_env=",
                ));
            }
        };
        self.tls = given.tls()?;
        if let Some(mode) = given.take("topology")? {
            self.topology = mode;
        }
        self.groups = groups(url, given.text("fan_out"), given.text("groups"))?;
        for (name, field) in [
            ("visibility", &mut self.visibility),
            ("lease_limit", &mut self.lease_limit),
            ("wait", &mut self.wait),
            ("retention", &mut self.retention),
            ("deadline", &mut self.deadline),
        ] {
            if let Some(duration) = given.duration(name)? {
                *field = duration;
            }
        }
        for (name, field) in [
            ("receivers", &mut self.receivers),
            ("requests", &mut self.requests),
            ("key_batch", &mut self.key_batch),
        ] {
            if let Some(number) = given.take(name)? {
                *field = number;
            }
        }
        self.redrive = given.take("redrive")?;
        if let Some(text) = given.text("durability") {
            let known = || Durability::ALL.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(", ");
            let none = || invalid(url, format!("durability={text} is none of {}", known()));
            self.durability = Some(Durability::parse(&text).ok_or_else(none)?);
        }
        given.finish()
    }

    /// Refuses values that cannot work.
    pub(crate) fn validate(&self) -> Result<()> {
        let whole = |duration: Duration| duration.subsec_nanos() == 0;
        let seconds = |n| Duration::from_secs(n);
        let no_client_certificate = self.tls.certificate.is_none() && self.tls.key.is_none();
        let endpoint = self.endpoint.as_deref().unwrap_or("https://");
        for (good, text) in [
            (!self.region.is_empty(), "the region is empty"),
            (
                endpoint.starts_with("https://") || endpoint.starts_with("http://"),
                "endpoint is http://host:port or https://host:port",
            ),
            (
                self.tls.is_empty() || endpoint.starts_with("https://"),
                "tls_ca is for an endpoint with https://",
            ),
            (no_client_certificate, "SQS knows its clients by signature, not by certificate"),
            (self.profile.is_none() || self.access_key.is_none(), "an access key and a profile are two ways"),
            (
                self.session_token.is_none() || self.access_key.is_some(),
                "session_token goes with an access key",
            ),
            (
                whole(self.visibility) && (seconds(1)..=LONGEST_LEASE).contains(&self.visibility),
                "visibility is a whole number of seconds from 1s to 12h",
            ),
            (!self.lease_limit.is_zero() && self.lease_limit <= LONGEST_LEASE, "lease_limit is at most 12h"),
            (whole(self.wait) && self.wait <= seconds(20), "wait is a whole number of seconds up to 20s"),
            (
                whole(self.retention) && (seconds(60)..=seconds(14 * 24 * 60 * 60)).contains(&self.retention),
                "retention is from 60s to 14d",
            ),
            ((1..=64).contains(&self.receivers), "receivers is from 1 to 64"),
            ((1..=256).contains(&self.requests), "requests is from 1 to 256"),
            ((1..=BATCH).contains(&self.key_batch), "key_batch is from 1 to 10"),
            (self.redrive != Some(0), "redrive is at least 1"),
            (!self.deadline.is_zero(), "deadline is zero"),
        ] {
            if !good {
                return Err(Error::new(Kind::InvalidConfiguration, "connect", text));
            }
        }
        Ok(())
    }

    /// Whether the queues are Amazon's own, about which its documentation speaks.
    pub(crate) fn is_amazon(&self) -> bool {
        let Some(endpoint) = &self.endpoint else { return true };
        let host = host_of(endpoint);
        [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|domain| host.ends_with(domain))
    }

    /// Whether it is an emulator on this machine, without encryption: it asks for no credentials.
    pub(crate) fn is_local(&self) -> bool {
        let Some(endpoint) = &self.endpoint else { return false };
        let host = host_of(endpoint);
        let loopback = host == "localhost"
            || host == "[::1]"
            || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
        endpoint.starts_with("http://") && loopback
    }

    /// Where it is, for error texts.
    pub(crate) fn place(&self) -> String {
        self.endpoint
            .as_ref()
            .map_or_else(|| format!("sqs://{}", self.region), |endpoint| format!("SQS at {endpoint}"))
    }
}

/// The host of a URL, in lower case and without its port.
fn host_of(endpoint: &str) -> String {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let bracketed = authority.starts_with('[').then(|| authority.split_inclusive(']').next()).flatten();
    bracketed.unwrap_or_else(|| authority.split(':').next().unwrap_or_default()).to_ascii_lowercase()
}

fn groups(url: &BrokerUrl, fan_out: Option<String>, groups: Option<String>) -> Result<Vec<Group>> {
    let names = match (fan_out.as_deref(), groups) {
        (None, None) => return Ok(Vec::new()),
        (Some("publisher"), Some(names)) if !names.is_empty() => names,
        (Some("publisher") | None, _) => {
            let text = "fan_out=publisher and groups= go together".to_owned();
            return Err(invalid(url, text).advice("fan_out=publisher&groups=billing,shipping"));
        }
        (Some(other), _) => {
            return Err(invalid(url, format!("fan_out={other} is not known"))
                .advice("fan_out=publisher&groups=billing,shipping"));
        }
    };
    let mut groups = names.split(',').map(Group::new).collect::<Result<Vec<_>>>()?;
    let given = groups.len();
    groups.sort();
    groups.dedup();
    if groups.len() < given {
        return Err(invalid(url, "groups= names a group twice".to_owned()));
    }
    Ok(groups)
}

fn invalid(url: &BrokerUrl, text: String) -> Error {
    Error::new(Kind::InvalidConfiguration, "connect", text).on(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<SqsConfig> {
        SqsConfig::from_url(&url.parse().unwrap())
    }

    #[test]
    fn every_parameter_reads() {
        let config = read(
            "sqs://AKIA:hunter2@eu-west-1?endpoint=https://h:1&account=1&prefix=p-&session_token=hunter3\
             &topology=create&fan_out=publisher&groups=b,a&visibility=60s&lease_limit=1h&wait=5s&receivers=2&requests=8\
             &key_batch=10&retention=14d&redrive=5&durability=fsync&deadline=3s",
        )
        .unwrap();
        let groups: Vec<_> = config.groups.iter().map(Group::as_str).collect();
        assert_eq!(groups, ["a", "b"]);
        assert_eq!(
            (config.key_batch, config.redrive, config.durability),
            (10, Some(5), Some(Durability::Fsync))
        );
        assert_eq!(config.access_key.as_ref().unwrap().1.expose(), "hunter2");
        assert!(!format!("{config:?}").contains("hunter"));
    }

    #[test]
    fn mistakes_are_refused() {
        for (url, part) in [
            ("sqs://", "region"),
            ("sqs://eu-west-1:9324", "endpoint="),
            ("sqs://eu-west-1/path", "region"),
            ("sqs://r?endpoint=localhost:9324", "http://host:port"),
            ("sqs://r?groups=a", "fan_out=publisher"),
            ("sqs://r?fan_out=sns&groups=a", "sns"),
            ("sqs://r?fan_out=publisher&groups=a,a", "twice"),
            ("sqs://r?visibility=1500ms", "whole number"),
            ("sqs://r?wait=21s", "20s"),
            ("sqs://r?key_batch=11", "1 to 10"),
            ("sqs://r?durability=much", "page-cache"),
            ("sqs://user@r", "go together"),
            ("sqs://u:hunter2@r?profile=p", "two ways"),
            ("sqs://r?partitions=4", "no parameter `partitions`"),
        ] {
            let error = read(url).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidConfiguration);
            assert!(error.to_string().contains(part) && !error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn amazons_own_queues_are_told_from_others() {
        for (endpoint, amazon, local) in [
            ("https://sqs.eu-west-1.amazonaws.com", true, false),
            ("https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/", true, false),
            ("https://amazonaws.com.example.org", false, false),
            ("http://127.0.0.1:9324", false, true),
            ("http://[::1]:9324", false, true),
            ("http://localstack:4566", false, false),
            ("https://localhost:9324", false, false),
        ] {
            let config = read(&format!("sqs://r?endpoint={endpoint}")).unwrap();
            assert_eq!((config.is_amazon(), config.is_local()), (amazon, local), "{endpoint}");
        }
        assert!(read("sqs://r").unwrap().is_amazon());
    }
}
