//! How a broker stands, for people and for machines.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// How one broker stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The broker's name, as commands take it.
    pub name: String,
    /// Whether it runs and answers.
    pub state: State,
    /// Which version runs, or would run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How it runs; none when it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Its main process; none in a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Where clients connect; none when it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where its management interface answers, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub management_url: Option<String>,
    /// How a client reaches it through a proxy, if that takes a port of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxied: Option<Proxied>,
    /// How a client reaches it encrypted and logged in; none in a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure: Option<Secure>,
    /// Its log: a file, or the command that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a broker runs and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does not run.
    Down,
    /// It runs and does not answer.
    NotReady,
    /// It is suspended: its sockets are open and nothing answers.
    Paused,
    /// It answers.
    Ready,
}

/// How a broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In a container, from the shipped `compose.yaml`.
    Container,
    /// As a process of this system.
    Native,
}

/// The way through a proxy to a broker that tells its clients where to connect. A proxy listens on `listen`
/// and forwards to `forward_to`; clients that connect to `listen` are told to stay there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxied {
    /// The port that the broker advertises and on which a proxy is to listen.
    pub listen: u16,
    /// The broker's own port behind it.
    pub forward_to: u16,
}

/// The encrypted ways to a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secure {
    /// URLs with all that is needed, by what they log in with, such as `password` or `certificate`.
    pub urls: BTreeMap<String, String>,
    /// The folder of the files that the URLs name: `ca.pem`, `client.pem`, `client.key`, `password`; `other-ca.pem`, an
    /// authority that has signed nothing here; and `stranger.pem` with `stranger.key`, for whom there is no user.
    pub files: PathBuf,
}

impl Status {
    pub(crate) fn down(name: &str, version: Option<String>) -> Self {
        Self {
            name: name.into(),
            state: State::Down,
            version,
            mode: None,
            pid: None,
            url: None,
            management_url: None,
            proxied: None,
            secure: None,
            log: None,
            reason: None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Down => "down",
            Self::NotReady => "not ready",
            Self::Paused => "paused",
            Self::Ready => "ready",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "container",
            Self::Native => "native process",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_down_is_three_fields() {
        let down = Status::down("kafka", Some("4.4.0".into()));
        let json = serde_json::to_string(&down).unwrap();
        assert_eq!(json, r#"{"name":"kafka","state":"down","version":"4.4.0"}"#);
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), down);
    }
}
