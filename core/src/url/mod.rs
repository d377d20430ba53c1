//! Connection URLs: `scheme://user:password@host:port,host:port/path?parameter=value`.

mod login;
mod secret;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

pub use login::TlsFiles;
pub use secret::Secret;

use crate::error::{Error, Kind, Result};

/// A parsed connection URL. Passwords never show in its `Debug` or `Display`.
///
/// ```
/// use anybroker_core::BrokerUrl;
/// let url: BrokerUrl = "kafka://h1:9092,h2?topology=create".parse()?;
/// assert_eq!(url.scheme, "kafka");
/// assert_eq!(url.hosts, [("h1".to_owned(), Some(9092)), ("h2".to_owned(), None)]);
/// # Ok::<(), anybroker_core::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct BrokerUrl {
    /// The scheme, which chooses the backend.
    pub scheme: String,
    /// The user name.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// Hosts with their ports, in order.
    pub hosts: Vec<(String, Option<u16>)>,
    /// What follows the hosts, decoded, without its leading `/`.
    pub path: Option<String>,
    parameters: Vec<(String, String)>,
}

impl BrokerUrl {
    /// Takes the parameters, to be consumed one by one; see [`Parameters::finish`].
    pub fn parameters(&self) -> Parameters {
        Parameters { left: self.parameters.clone(), known: Vec::new(), url: self.to_string() }
    }

    /// The hosts as `host:port,host:port`, with `default_port` where none is given.
    pub fn addresses(&self, default_port: u16) -> Vec<String> {
        self.hosts.iter().map(|(host, port)| format!("{host}:{}", port.unwrap_or(default_port))).collect()
    }
}

/// A URL's parameters; each is taken by its name, and what is left over at the end is an error.
pub struct Parameters {
    left: Vec<(String, String)>,
    known: Vec<Cow<'static, str>>,
    url: String,
}

impl Parameters {
    /// Takes a parameter as text.
    pub fn text(&mut self, name: impl Into<Cow<'static, str>>) -> Option<String> {
        let name = name.into();
        let at = self.left.iter().position(|(n, _)| *n == name);
        self.known.push(name);
        let at = at?;
        Some(self.left.remove(at).1)
    }

    /// Takes a parameter of a type that reads from text.
    ///
    /// # Errors
    /// [`Kind::InvalidConfiguration`] names the parameter and its value.
    pub fn take<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>>
    where
        T::Err: fmt::Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|e| self.error(format!("the parameter {name}={text} does not read: {e}")))
    }

    /// Takes a duration such as `500ms`, `30s`, `5m`.
    ///
    /// # Errors
    /// [`Kind::InvalidConfiguration`] names the parameter and its value.
    pub fn duration(&mut self, name: &'static str) -> Result<Option<std::time::Duration>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let parsed = humantime::parse_duration(&text);
        parsed
            .map(Some)
            .map_err(|e| self.error(format!("the parameter {name}={text} is no duration such as 30s: {e}")))
    }

    /// Takes every `x.name=value`: settings passed through to the native client.
    pub fn native(&mut self) -> Vec<(String, String)> {
        let (native, left) =
            std::mem::take(&mut self.left).into_iter().partition(|(n, _)| n.starts_with("x."));
        self.left = left;
        let native: Vec<(String, String)> = native;
        native.into_iter().map(|(n, v)| (n["x.".len()..].to_owned(), v)).collect()
    }

    /// Ends the reading: unknown and repeated parameters are errors, not ignored.
    ///
    /// # Errors
    /// [`Kind::InvalidConfiguration`] names the parameter and lists the known ones.
    pub fn finish(self) -> Result<()> {
        let Some((name, _)) = self.left.first() else { return Ok(()) };
        let known = self.known.join(", ");
        let text = if self.known.iter().any(|known| known == name) {
            format!("the parameter `{name}` is given twice")
        } else {
            format!("there is no parameter `{name}`")
        };
        Err(self.error(text).advice(format!("known are: {known}")))
    }

    fn error(&self, text: String) -> Error {
        Error::new(Kind::InvalidConfiguration, "connect", text).on(self.url.clone())
    }
}

impl fmt::Debug for Parameters {
    /// The names only: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.left.iter().map(|(name, _)| name)).finish()
    }
}

impl FromStr for BrokerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // The text itself is not repeated in errors: it may hold a password.
        let bad = |why: &str| {
            Error::new(Kind::InvalidConfiguration, "connect", format!("the URL does not read: {why}"))
                .advice("it looks like kafka://host:9092?parameter=value")
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        if scheme.is_empty()
            || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        {
            return Err(bad("its scheme is not one"));
        }
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(r, q)| (r, Some(q)));
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
        let (login, hosts) = authority.rsplit_once('@').map_or((None, authority), |(l, h)| (Some(l), h));
        let (user, password) = match login.map(|l| l.split_once(':').map_or((l, None), |(u, p)| (u, Some(p))))
        {
            None => (None, None),
            Some((user, password)) => (
                Some(decode(user).ok_or_else(|| bad("its user name is not UTF-8"))?),
                password.map(|p| decode(p).ok_or_else(|| bad("its password is not UTF-8"))).transpose()?,
            ),
        };
        let hosts =
            hosts.split(',').filter(|h| !h.is_empty()).map(|h| host(h).ok_or_else(|| bad("a host or port")));
        let path =
            path.filter(|p| !p.is_empty()).map(|p| decode(p).ok_or_else(|| bad("its path is not UTF-8")));
        let pairs = query.unwrap_or("").split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        });
        Ok(BrokerUrl {
            scheme: scheme.to_ascii_lowercase(),
            user,
            password: password.map(Secret::new),
            hosts: hosts.collect::<Result<_>>()?,
            path: path.transpose()?,
            parameters: pairs.collect::<Option<_>>().ok_or_else(|| bad("a parameter is not UTF-8"))?,
        })
    }
}

impl fmt::Display for BrokerUrl {
    /// The URL without password and parameters (a parameter may be a secret too).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{user}{}@", if self.password.is_some() { ":***" } else { "" })?;
        }
        for (i, (host, port)) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if i > 0 { "," } else { "" })?;
            port.map_or(Ok(()), |port| write!(f, ":{port}"))?;
        }
        self.path.as_ref().map_or(Ok(()), |path| write!(f, "/{path}"))
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUrl({self})")
    }
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(|t| t.into_owned())
}

fn host(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?.parse().ok()?) };
        return Some((format!("[{address}]"), port));
    }
    match text.split_once(':') {
        None => Some((decode(text)?, None)),
        Some((host, port)) if !host.is_empty() => Some((decode(host)?, Some(port.parse().ok()?))),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
