//! How to reach Glue.

use std::time::Duration;

use anybroker_core::{BrokerUrl, Error, Kind, Result, Secret, TlsFiles};

use crate::schema::Level;

/// The registry that Glue makes with its first schema.
pub(super) const DEFAULT: &str = "default-registry";

/// Everything that [`GlueRegistry::open`](super::GlueRegistry::open) needs. Parameters of a URL have the names of the fields.
///
/// ```
/// use anybroker_patterns::schema::GlueConfig;
/// let url = "glue://AKIA:secret@eu-west-1/shop?prefix=orders.&level=full".parse()?;
/// let config = GlueConfig::from_url(&url)?;
/// assert_eq!((config.region.as_str(), config.registry.as_str()), ("eu-west-1", "shop"));
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), anybroker_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GlueConfig {
    /// The region: the URL's host.
    pub region: String,
    /// The registry, which must be there: the URL's path. Without it `default-registry`, which Glue makes by itself.
    pub registry: String,
    /// Another address than the region's: an emulator, a VPC endpoint.
    pub endpoint: Option<String>,
    /// An access key: `user:password@` of the URL, or `user@` with `password_file=` or `password_env=`. Without it, what AWS's
    /// own chain finds; at an endpoint of this machine without encryption a placeholder.
    pub access_key: Option<(String, Secret)>,
    /// The session token of a temporary access key (`session_token=`, `session_token_file=`, `session_token_env=`).
    pub session_token: Option<Secret>,
    /// The profile of the AWS configuration files.
    pub profile: Option<String>,
    /// The certificate authority of the endpoint (`tls_ca=`).
    pub tls: TlsFiles,
    /// What stands before the event type in the name of a schema.
    pub prefix: String,
    /// The compatibility level that a type gets with its first version (`none`, `disabled`, `backward`,
    /// `backward-transitive` and so on). One that is there keeps its own.
    pub level: Level,
    /// How long one request may take, with what is tried again of it, and how long Glue may take to check a version.
    pub deadline: Duration,
}

impl GlueConfig {
    /// The defaults for a region: the default registry, `Backward`, 10 s a request.
    pub fn new(region: impl Into<String>) -> Self {
        GlueConfig {
            region: region.into(),
            registry: DEFAULT.to_owned(),
            endpoint: None,
            access_key: None,
            session_token: None,
            profile: None,
            tls: TlsFiles::default(),
            prefix: String::new(),
            level: Level::Backward,
            deadline: Duration::from_secs(10),
        }
    }

    /// Reads a URL: `glue://region/registry?parameter=value`, or `glue://access-key-id:secret@region/registry`.
    ///
    /// # Errors
    /// `InvalidConfiguration` for another scheme, an unknown parameter or a value that does not read.
    pub fn from_url(url: &BrokerUrl) -> Result<Self> {
        let region = match url.hosts.as_slice() {
            [(region, None)] if url.scheme == "glue" => region,
            _ => return Err(invalid("the URL is not `glue://` with a region").on(url.to_string())),
        };
        let mut config = Self::new(region.clone());
        config.read(url)?;
        config.validate().map_err(|error| error.on(url.to_string()))?;
        Ok(config)
    }

    fn read(&mut self, url: &BrokerUrl) -> Result<()> {
        let mut given = url.parameters();
        if let Some(path) = url.path.as_deref().filter(|path| !path.is_empty()) {
            self.registry = path.to_owned();
        }
        self.endpoint = given.text("endpoint");
        self.access_key = match (&url.user, url.password(&mut given)?) {
            (Some(user), Some(password)) => Some((user.clone(), password)),
            (None, None) => None,
            _ => {
                let error = invalid("an access key id and its secret go together");
                return Err(error.on(url.to_string()));
            }
        };
        self.session_token = given.secret("session_token")?;
        self.profile = given.text("profile");
        self.tls = given.tls()?;
        self.prefix = given.text("prefix").unwrap_or_default();
        self.level = given.take("level")?.unwrap_or(self.level);
        self.deadline = given.duration("deadline")?.unwrap_or(self.deadline);
        given.finish()
    }

    pub(super) fn validate(&self) -> Result<()> {
        let endpoint = self.endpoint.as_deref().unwrap_or("https://");
        let encrypted = endpoint.starts_with("https://");
        for (good, text) in [
            (!self.region.is_empty(), "the region is empty"),
            (!self.registry.is_empty(), "the registry's name is empty"),
            (
                encrypted || endpoint.starts_with("http://"),
                "endpoint is http://host:port or https://host:port",
            ),
            (self.tls.is_empty() || encrypted, "tls_ca is for an endpoint with https://"),
            (
                self.tls.certificate.is_none() && self.tls.key.is_none(),
                "Glue knows its clients by signature, not by certificate",
            ),
            (self.profile.is_none() || self.access_key.is_none(), "an access key and a profile are two ways"),
            (
                self.session_token.is_none() || self.access_key.is_some(),
                "session_token goes with an access key",
            ),
            (!self.deadline.is_zero(), "deadline is zero"),
        ] {
            if !good {
                return Err(invalid(text));
            }
        }
        Ok(())
    }

    /// Whether it is an emulator on this machine, without encryption: it asks for no credentials.
    pub(super) fn is_local(&self) -> bool {
        let Some(rest) = self.endpoint.as_deref().and_then(|it| it.strip_prefix("http://")) else {
            return false;
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        host == "localhost"
            || host == "[::1]"
            || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
    }

    /// Where it is, for error texts.
    pub(super) fn place(&self) -> String {
        let registry = &self.registry;
        match &self.endpoint {
            Some(endpoint) => format!("the registry `{registry}` of Glue at {endpoint}"),
            None => format!("the registry `{registry}` of Glue in {}", self.region),
        }
    }
}

fn invalid(text: &str) -> Error {
    let error = Error::new(Kind::InvalidConfiguration, "connect", text);
    error.advice(
        "a registry of Glue is called glue://region/registry; another address is endpoint=http://host:port",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        for (url, part) in [
            ("kafka://h", "glue://"),
            ("glue://", "region"),
            ("glue://r:80", "region"),
            ("glue://r?endpoint=localhost:5000", "http://host:port"),
            ("glue://r?endpoint=http://h&tls_ca=/dev/null", "https"),
            ("glue://u:hunter2@r?profile=p", "two ways"),
            ("glue://u@r", "go together"),
            ("glue://r?session_token=hunter2", "access key"),
            ("glue://r?level=much", "level"),
            ("glue://r?deadline=0s", "zero"),
            ("glue://r?attempts=1", "no parameter `attempts`"),
        ] {
            let error = GlueConfig::from_url(&url.parse().unwrap()).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidConfiguration);
            let text = error.to_string();
            assert!(text.contains(part) && !text.contains("hunter2"), "{url}: {text}");
        }
    }

    #[test]
    fn an_emulator_on_this_machine_needs_no_credentials() {
        for (endpoint, local) in [
            ("http://127.0.0.1:5000", true),
            ("http://[::1]:5000/", true),
            ("http://localhost", true),
            ("https://127.0.0.1", false),
            ("http://localstack:4566", false),
        ] {
            let config = GlueConfig { endpoint: Some(endpoint.to_owned()), ..GlueConfig::new("r") };
            assert_eq!(config.is_local(), local, "{endpoint}");
        }
        assert!(!GlueConfig::new("r").is_local());
    }
}
