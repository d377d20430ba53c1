//! How to reach a registry.

use std::time::Duration;

use anybroker_core::{BrokerUrl, Error, Kind, Result, Secret, TlsFiles};

/// Who the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// A user's name and password; with Confluent Cloud an API key and its secret.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A bearer token.
    Token(Secret),
}

/// Everything that [`ConfluentRegistry::open`](super::ConfluentRegistry::open) needs. Parameters of a URL have the names of
/// the fields.
///
/// ```
/// use anybroker_patterns::schema::ConfluentConfig;
/// let url = "http://shop:secret@one:8081,two:8081/apis/ccompat/v7?deadline=2s&prefix=shop.".parse()?;
/// let config = ConfluentConfig::from_url(&url)?;
/// assert_eq!(config.addresses[1], "http://two:8081/apis/ccompat/v7");
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), anybroker_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConfluentConfig {
    /// Where it answers: `http://host:8081`, with the path before `/subjects` if there is one. Several are tried in turn.
    pub addresses: Vec<String>,
    /// Who the client is: `user:password@` (or `user` with `password`, `password_file` or `password_env`), or `token`,
    /// `token_file` or `token_env`.
    pub login: Option<Login>,
    /// The authorities to trust and the client's certificate (`tls_ca`, `tls_certificate`, `tls_key`).
    pub tls_files: TlsFiles,
    /// What stands before the event type in the name of a subject.
    pub prefix: String,
    /// How long one attempt may take.
    pub deadline: Duration,
    /// How often a request is sent at most, if the server does not answer or says that it cannot now.
    pub attempts: u32,
    /// How many schemas are kept by their ids.
    pub cached: usize,
}

impl ConfluentConfig {
    /// The defaults for a server: nobody's login, 5 s an attempt, 4 attempts, 1,000 schemas kept.
    pub fn new(address: impl Into<String>) -> Self {
        ConfluentConfig {
            addresses: vec![address.into()],
            login: None,
            tls_files: TlsFiles::default(),
            prefix: String::new(),
            deadline: Duration::from_secs(5),
            attempts: 4,
            cached: 1_000,
        }
    }

    /// Reads a URL: `https://user:password@host:8081/path?parameter=value`.
    ///
    /// # Errors
    /// `InvalidConfiguration` for another scheme, an unknown parameter or a value that does not read.
    pub fn from_url(url: &BrokerUrl) -> Result<Self> {
        let invalid = |text: String| {
            let error = Error::new(Kind::InvalidConfiguration, "connect", text).on(url.to_string());
            error.advice("a registry is called https://user:password@host:8081/path")
        };
        let (scheme, port) = match url.scheme.as_str() {
            "http" => ("http", 80),
            "https" => ("https", 443),
            other => return Err(invalid(format!("`{other}` is not http or https"))),
        };
        if url.hosts.is_empty() {
            return Err(invalid("it names no host".to_owned()));
        }
        let path = url.path.as_deref().unwrap_or("").trim_end_matches('/');
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        let address = |host: String| format!("{scheme}://{host}{path}");
        let mut parameters = url.parameters();
        let user = match (&url.user, parameters.text("user")) {
            (Some(_), Some(_)) => return Err(invalid("the user is given in two ways".to_owned())),
            (given, stated) => given.clone().or(stated),
        };
        let login = match (user, url.password(&mut parameters)?, parameters.secret("token")?) {
            (None, None, None) => None,
            (Some(user), Some(password), None) => Some(Login::Basic { user, password }),
            (None, None, Some(token)) => Some(Login::Token(token)),
            (_, _, Some(_)) => return Err(invalid("it is logged in by a password or a token".to_owned())),
            _ => return Err(invalid("user and password go together".to_owned())),
        };
        let mut config = Self::new("");
        config.addresses = url.addresses(port).into_iter().map(address).collect();
        config.login = login;
        config.tls_files = parameters.tls()?;
        config.tls_files.need_encryption(scheme == "https", "https")?;
        config.prefix = parameters.text("prefix").unwrap_or_default();
        config.deadline = parameters.duration("deadline")?.unwrap_or(config.deadline);
        config.attempts = parameters.take("attempts")?.unwrap_or(config.attempts);
        config.cached = parameters.take("cached")?.unwrap_or(config.cached);
        parameters.finish()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        for (url, part) in [
            ("kafka://h", "not http or https"),
            ("http://", "no host"),
            ("http://u:hunter2@h?token=hunter2", "password or a token"),
            ("http://u@h", "go together"),
            ("http://u:hunter2@h?user=hunter2", "two ways"),
            ("http://h?timeout=1s", "no parameter `timeout`"),
            ("http://h?tls_ca=/dev/null", "https"),
        ] {
            let error = ConfluentConfig::from_url(&url.parse().unwrap()).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidConfiguration);
            let text = error.to_string();
            assert!(text.contains(part) && !text.contains("hunter2"), "{url}: {text}");
        }
        let config = ConfluentConfig::from_url(&"https://h?token=hunter2".parse().unwrap()).unwrap();
        assert_eq!(config.addresses, ["https://h:443"]);
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
