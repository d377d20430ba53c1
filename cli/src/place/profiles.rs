//! Profiles: brokers with names, in `~/.config/anybroker/profiles.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anybroker::BrokerUrl;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use toml::Value;

use crate::failure::Failure;
use crate::output;

/// The environment variable with the file's path.
const VARIABLE: &str = "ANYBROKER_PROFILES";

/// The file, read.
#[derive(Debug)]
pub(crate) struct Profiles {
    path: PathBuf,
    /// By name.
    pub(crate) all: BTreeMap<String, Profile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

/// One broker: its URL, and parameters that the URL gets.
#[derive(Clone, Deserialize)]
pub(crate) struct Profile {
    url: String,
    user: Option<String>,
    password: Option<String>,
    #[serde(flatten)]
    parameters: BTreeMap<String, Value>,
}

impl std::fmt::Debug for Profile {
    /// Without secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("url", &self.shown_url()).finish_non_exhaustive()
    }
}

/// `$ANYBROKER_PROFILES`, or the usual place.
pub(crate) fn path() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = || variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
    variable(VARIABLE).or_else(|| config().map(|config| config.join("anybroker/profiles.toml")))
}

impl Profiles {
    /// Reads the file; none is as good as an empty one.
    pub(crate) fn read() -> Result<Self, Failure> {
        let path = path().ok_or_else(|| Failure::new(format!("set {VARIABLE} to the file of profiles")))?;
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && std::env::var_os(VARIABLE).is_none() =>
            {
                String::new()
            }
            Err(error) => return Err(Failure::file(&path, &error)),
        };
        let profiles = parse(&text).map_err(|why| Failure::new(format!("{}: {why}", path.display())))?;
        let secret = profiles.values().any(Profile::holds_password);
        if secret && others_may_read(&path) {
            output::note(&format!(
                "warning: {} holds a password and others may read it: chmod 600, or use password_file or password_env",
                path.display()
            ));
        }
        Ok(Profiles { path, all: profiles })
    }

    /// The profile of that name.
    pub(crate) fn get(&self, name: &str) -> Result<&Profile, Failure> {
        self.all.get(name).ok_or_else(|| {
            let there: Vec<_> = self.all.keys().map(String::as_str).collect();
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            Failure::new(format!(
                "there is no profile `{name}` in {}; there are: {there}",
                self.path.display()
            ))
        })
    }
}

/// Errors name the line and not its text, which may be a secret.
fn parse(text: &str) -> Result<BTreeMap<String, Profile>, String> {
    let parsed: Result<Text, _> = toml::from_str(text);
    parsed.map(|text| text.profiles).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        // What serde says of a wrong type repeats the value.
        let what = error.message().split(['`', '"', ':']).next().unwrap_or_default().trim().to_owned();
        format!("line {line} does not read: {what}; a profile is [profiles.NAME] with url = \"…\"")
    })
}

fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Whether a parameter of that name is a secret itself, and not where one is found.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = ["password", "secret", "token", "credential", "seed", "nkey", "jwt", "jaas"];
    !name.ends_with("_file") && !name.ends_with("_env") && words.iter().any(|word| name.contains(word))
}

impl Profile {
    fn holds_password(&self) -> bool {
        let in_url = self.url.parse::<BrokerUrl>().is_ok_and(|url| url.password.is_some());
        self.password.is_some() || in_url || self.parameters.keys().any(|name| is_secret(name))
    }

    /// The URL with everything in it. `overrides` are parameters that go before the profile's own.
    pub(crate) fn url(&self, overrides: &str) -> Result<String, Failure> {
        let (base, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let base = self.with_login(base)?;
        let mut pairs: Vec<String> = Vec::new();
        let overridden = |name: &str| {
            overrides.split('&').any(|pair| pair.split('=').next().is_some_and(|other| other == name))
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if !overridden(pair.split('=').next().unwrap_or(pair)) {
                pairs.push(pair.to_owned());
            }
        }
        for (name, value) in &self.parameters {
            if !overridden(name) {
                pairs.push(format!("{}={}", encode(name), encode(&plain(name, value)?)));
            }
        }
        pairs.extend(overrides.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned));
        Ok(if pairs.is_empty() { base } else { format!("{base}?{}", pairs.join("&")) })
    }

    fn with_login(&self, base: &str) -> Result<String, Failure> {
        if self.user.is_none() && self.password.is_none() {
            return Ok(base.to_owned());
        }
        let (scheme, rest) = base
            .split_once("://")
            .ok_or_else(|| Failure::new("the profile's URL does not read: it has no scheme"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (login, hosts) = authority.rsplit_once('@').map_or((None, authority), |(l, h)| (Some(l), h));
        let twice = Failure::new("the profile names the login twice: in its URL, and by user or password");
        let user = match (login, &self.user) {
            (Some(_), Some(_)) => return Err(twice),
            (Some(login), None) if login.contains(':') => return Err(twice),
            (Some(login), None) => login.to_owned(),
            (None, user) => user.as_deref().map(encode).unwrap_or_default(),
        };
        let password = self.password.as_deref().map(|password| format!(":{}", encode(password)));
        Ok(format!("{scheme}://{user}{}@{hosts}{path}", password.unwrap_or_default()))
    }

    /// The URL without password and parameters.
    pub(crate) fn shown_url(&self) -> String {
        let base = self.url.split('?').next().unwrap_or_default();
        let full = self.with_login(base).ok().and_then(|url| url.parse::<BrokerUrl>().ok());
        full.map_or_else(|| "does not read".to_owned(), |url| url.to_string())
    }

    /// The parameters, secrets and the native client's own settings without their values.
    pub(crate) fn shown_parameters(&self) -> Vec<(String, String)> {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        let in_url = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        });
        let own = self.parameters.iter().map(|(name, value)| {
            (name.clone(), plain(name, value).unwrap_or_else(|_| "does not read".to_owned()))
        });
        let hide = |(name, value): (String, String)| {
            let hidden = is_secret(&name) || name.starts_with("x.");
            (name, if hidden { "***".to_owned() } else { value })
        };
        in_url.chain(own).map(hide).collect()
    }
}

/// A value as it stands in a URL.
fn plain(name: &str, value: &Value) -> Result<String, Failure> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(yes) => Ok(yes.to_string()),
        _ => Err(Failure::new(format!(
            "the profile's setting `{name}` is neither text nor a number; names with dots stand in quotes"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(text: &str) -> Profile {
        parse(&format!("[profiles.p]\n{text}")).unwrap().remove("p").unwrap()
    }

    #[test]
    fn parameters_and_login_become_the_url() {
        let given = profile(
            "url = \"kafka://h1,h2:9093?linger=2ms\"\nuser = \"a@b\"\npassword = \"p:w/\"\npartitions = 3\n\
             \"x.compression.codec\" = \"zstd\"",
        );
        let url: BrokerUrl = given.url("").unwrap().parse().unwrap();
        assert_eq!((url.user.as_deref(), url.password.as_ref().unwrap().expose()), (Some("a@b"), "p:w/"));
        assert_eq!(url.hosts.len(), 2);
        let mut parameters = url.parameters();
        assert_eq!(parameters.text("linger").as_deref(), Some("2ms"));
        assert_eq!(parameters.text("partitions").as_deref(), Some("3"));
        assert_eq!(parameters.native(), [("compression.codec".to_owned(), "zstd".to_owned())]);
        parameters.finish().unwrap();

        let over: BrokerUrl = given.url("partitions=5&linger=9ms").unwrap().parse().unwrap();
        let mut parameters = over.parameters();
        assert_eq!(parameters.text("partitions").as_deref(), Some("5"));
        assert_eq!(parameters.text("linger").as_deref(), Some("9ms"));
        parameters.native();
        parameters.finish().unwrap();
    }

    #[test]
    fn a_login_given_twice_is_refused() {
        for text in ["url = \"amqp://u:p@h\"\npassword = \"x\"", "url = \"amqp://u@h\"\nuser = \"v\""] {
            assert!(profile(text).url("").is_err(), "{text}");
        }
        assert_eq!(profile("url = \"amqp://u@h/v\"\npassword = \"x\"").url("").unwrap(), "amqp://u:x@h/v");
    }

    #[test]
    fn nothing_shown_is_a_secret() {
        let given = profile(
            "url = \"nats://u:hunter2@h?token=hunter2\"\nsecret_file = \"/run/s\"\n\"x.ssl.key.password\" = \"hunter2\"",
        );
        let shown = format!("{given:?} {} {:?}", given.shown_url(), given.shown_parameters());
        assert!(!shown.contains("hunter2") && shown.contains("/run/s"), "{shown}");
        for bad in ["[profiles.p]\nurl = hunter2", "[profiles.p]\nurl = [\"hunter2\"]", "hunter2 = 1"] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains("line") && !error.contains("hunter2"), "{error}");
        }
    }
}
