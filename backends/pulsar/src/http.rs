//! Pulsar's admin interface: HTTP with JSON, one request a connection.

use std::time::Duration;

use anybroker_core::kit::within;
use anybroker_core::{Error, Fate, Kind, Result, Secret, TlsFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::PulsarConfig;
use crate::tls;

/// A broker that does not own a topic sends the request on to the one that does.
const MOST_REDIRECTS: usize = 5;
/// The largest answer: the statistics of a topic with many groups take less.
const MOST_BYTES: u64 = 64 << 20;

/// Where an admin interface answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    tls: bool,
    host: String,
    port: u16,
}

impl Address {
    /// Reads `http://host:port` or `https://host:port`; what follows comes back.
    pub(crate) fn parse(url: &str) -> Result<(Self, &str)> {
        let bad = || {
            // Not repeated here: somebody may have put a password into it.
            let text = "admin= is no URL of an admin interface: http://host:8080 or https://host:8443";
            Error::new(Kind::InvalidConfiguration, "connect", text)
        };
        let (tls, rest) = match url.split_once("://").ok_or_else(bad)? {
            ("http", rest) => (false, rest),
            ("https", rest) => (true, rest),
            _ => return Err(bad()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => (host, port.parse().map_err(|_| bad())?),
            None => (authority, if tls { 443 } else { 80 }),
        };
        if host.is_empty() || host.contains('@') {
            return Err(bad());
        }
        Ok((Address { tls, host: host.to_owned(), port }, path))
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    location: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// What the broker says of a refusal.
    pub(crate) fn reason(&self) -> String {
        let reason: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let reason = reason.as_ref().and_then(|json| json.get("reason")?.as_str());
        reason.map_or_else(|| format!("status {}", self.status), str::to_owned)
    }

    /// Reads the body.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, operation: &'static str) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = "the admin interface's answer does not read";
            Error::new(Kind::Unexpected, operation, text).with_source(error)
        })
    }
}

/// The way to the admin interface.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    address: Address,
    prefix: String,
    token: Option<Secret>,
    tls: TlsFiles,
    deadline: Duration,
}

impl Http {
    pub(crate) fn new(config: &PulsarConfig) -> Result<Self> {
        let url = config.admin();
        let (address, prefix) = Address::parse(&url)?;
        Ok(Http {
            address,
            prefix: prefix.to_owned(),
            token: config.token.clone(),
            tls: config.tls_files.clone(),
            deadline: config.deadline,
        })
    }

    /// Where it is, for errors.
    pub(crate) fn place(&self) -> String {
        let scheme = if self.address.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.address.host, self.address.port)
    }

    /// Sends a request and follows it to the broker that answers.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`, `PermissionDenied`, and what TLS fails with. Other refusals are answers.
    ///
    /// # Cancel safety
    /// A cancelled request may have been applied.
    pub(crate) async fn call(
        &self,
        operation: &'static str,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Result<Answer> {
        let answer = within(self.deadline, operation, self.follow(operation, method, path, body)).await;
        let answer = answer.map_err(|error| error.on(self.place()))?;
        match answer.status {
            401 | 403 => {
                let text = format!("the admin interface refused: {}", answer.reason());
                let advice = "the token's role needs the permission to administer the tenant";
                Err(Error::new(Kind::PermissionDenied, operation, text).on(self.place()).advice(advice))
            }
            // A broker that starts, or looks for the topic's owner.
            500 | 502..=504 => {
                let text = format!("the admin interface failed: {}", answer.reason());
                Err(Error::new(Kind::Disconnected, operation, text).on(self.place()))
            }
            _ => Ok(answer),
        }
    }

    async fn follow(
        &self,
        operation: &'static str,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Result<Answer> {
        let (mut address, mut path) = (self.address.clone(), format!("{}{path}", self.prefix));
        for _ in 0..MOST_REDIRECTS {
            let answer = self.once(operation, &address, method, &path, body).await?;
            let Some(location) = answer.location.as_ref().filter(|_| answer.status == 307) else {
                return Ok(answer);
            };
            let (next, rest) = Address::parse(location)?;
            (address, path) = (next, rest.to_owned());
        }
        Err(Error::new(Kind::Unexpected, operation, "the admin interface redirects in a circle"))
    }

    /// HTTP/1.0, so that the answer ends with the connection.
    async fn once(
        &self,
        operation: &'static str,
        address: &Address,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Result<Answer> {
        let tls = address.tls.then_some(&self.tls);
        let mut socket = tls::connect(&address.host, address.port, tls).await?;
        let login = self.token.as_ref();
        let login =
            login.map(|token| format!("Authorization: Bearer {}\r\n", token.expose())).unwrap_or_default();
        let content =
            body.map(|body| format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}:{}\r\nAccept: application/json\r\n{login}{}\r\n{}",
            address.host,
            address.port,
            content.unwrap_or_default(),
            body.unwrap_or_default(),
        );
        let broken = |error| {
            Error::new(Kind::Disconnected, operation, "the admin interface did not answer").with_source(error)
        };
        socket.write_all(request.as_bytes()).await.map_err(broken)?;
        let mut answer = Vec::new();
        (&mut socket).take(MOST_BYTES).read_to_end(&mut answer).await.map_err(broken)?;
        parse(&answer).ok_or_else(|| {
            Error::new(Kind::Disconnected, operation, "what answers there is no admin interface")
                .with_fate(Fate::Unknown)
        })
    }
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let location = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    });
    Some(Answer { status, location, body: answer[end + 4..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_a_port() {
        let address = |tls, host: &str, port| Address { tls, host: host.to_owned(), port };
        for (url, expected) in [
            ("http://h:8080", (address(false, "h", 8080), "")),
            ("https://h/pulsar", (address(true, "h", 443), "/pulsar")),
            ("http://[::1]:1/a?b=c", (address(false, "[::1]", 1), "/a?b=c")),
        ] {
            assert_eq!(Address::parse(url).unwrap(), expected);
        }
        for url in ["h:8080", "ftp://h", "http://", "http://h:port", "http://u:p@h"] {
            assert_eq!(Address::parse(url).unwrap_err().kind(), Kind::InvalidConfiguration, "{url}");
        }
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        let answer =
            parse(b"HTTP/1.1 409 Conflict\r\nLocation: http://o/x\r\n\r\n{\"reason\":\"there\"}").unwrap();
        assert_eq!((answer.status, answer.reason().as_str()), (409, "there"));
        assert_eq!(answer.location.as_deref(), Some("http://o/x"));
        assert!(parse(b"no http").is_none());
    }
}
