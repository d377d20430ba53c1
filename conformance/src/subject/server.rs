//! The broker's process: killed, restarted, paused, and reached through a proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use super::starter::Starter;
use crate::brokers::{Proxied, Status};
use crate::cases::{Applicable, Faults};

/// A broker that is a process of its own, and what can be done to it.
#[derive(Clone)]
pub struct Server {
    /// Its name: cases that break it wait for each other.
    pub process: String,
    /// Its own URL.
    pub url: String,
    /// Where it is on this machine, and where a proxy is to listen.
    pub way: Applicable<Proxied>,
    /// What members apart have in their URL besides: they notice within seconds that the other side is silent, and it that
    /// they are.
    pub impatient: String,
    /// Breaks it.
    pub faults: Applicable<Arc<dyn Faults>>,
}

impl Server {
    /// A broker at a URL of which nothing more is known: it can neither be broken nor be reached through a proxy.
    pub fn new(process: impl Into<String>, url: impl Into<String>) -> Self {
        const NOT_OURS: &str = "the broker was not started by anybroker brokers, and is left alone";
        Server {
            process: process.into(),
            url: url.into(),
            way: Err(NOT_OURS),
            impatient: String::new(),
            faults: Err(NOT_OURS),
        }
    }

    /// It can be broken in this way.
    #[must_use]
    pub fn broken_by(self, faults: impl Faults + 'static) -> Self {
        Server { faults: Ok(Arc::new(faults)), ..self }
    }

    /// It listens on that port of 127.0.0.1, as its URL says, and works behind a proxy at any other.
    #[must_use]
    pub fn reached_by_proxy(self, port: u16) -> Self {
        Server { way: Ok(Proxied { listen: 0, forward_to: port }), ..self }
    }

    /// Members apart have these parameters in their URL besides.
    #[must_use]
    pub fn impatient(self, parameters: impl Into<String>) -> Self {
        Server { impatient: parameters.into(), ..self }
    }

    /// The running broker of that name, which the starter has started.
    ///
    /// # Errors
    /// It does not run; the text says how to start it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn running(process: &str) -> Result<Self, String> {
        super::starter::ready(&[process]).await?.pop().and_then(Self::started).ok_or_else(|| {
            format!(
                "{process} is not running; start it: anybroker brokers up {process}, or run all tests by cargo xtask test. \
                 ANYBROKER_TEST_EXCLUDE={process} leaves it out by name"
            )
        })
    }

    /// A broker of the starter's, and the way to it through a proxy: at any free port, unless it says at which one.
    pub(super) fn started(status: Status) -> Option<Self> {
        let url = status.url?;
        let plain = Proxied { listen: 0, forward_to: address(&url)?.port() };
        let way = Ok(status.proxied.unwrap_or(plain));
        let faults = Starter { process: status.name.clone() };
        Some(Server { way, ..Server::new(status.name, url).broken_by(faults) })
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("process", &self.process)
            .field("way", &self.way)
            .finish_non_exhaustive()
    }
}

/// The address of this machine in a URL, wherever it stands.
pub(super) fn address(url: &str) -> Option<SocketAddr> {
    let begin = url.find("127.0.0.1:")?;
    let end = url[begin..].find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)));
    url[begin..end.map_or(url.len(), |end| begin + end)].parse().ok()
}
