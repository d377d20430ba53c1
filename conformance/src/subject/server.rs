//! A broker's process that the starter runs: killed, restarted, paused, and reached through a proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::brokers::{Brokers, Options, PortChoice, Proxied, State, Status, default_state};
use crate::cases::Faults;

/// A broker that the starter runs.
#[derive(Clone, Debug)]
pub struct Server {
    /// The starter's name for it.
    pub process: String,
    /// Its own URL.
    pub url: String,
    /// Where it is, and where a proxy is to listen.
    pub way: Proxied,
    /// What members apart have in their URL besides: they notice within seconds that the other side is silent, and it that
    /// they are.
    pub impatient: String,
}

impl Server {
    /// The running broker of that name.
    ///
    /// # Errors
    /// It does not run; the text says how to start it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn running(process: &str, impatient: &str) -> Result<Self, String> {
        let status = starter()?.status(&[process]).await.map_err(|e| e.to_string())?;
        let ready = status.into_iter().find(|status| status.state == State::Ready);
        ready.and_then(|status| reached(status, impatient)).ok_or_else(|| {
            format!(
                "{process} is not running; start it: anybroker brokers up {process}, or run all tests by cargo xtask test. \
                 ANYBROKER_TEST_EXCLUDE={process} leaves it out by name"
            )
        })
    }

    /// Breaks it.
    pub fn faults(&self) -> Arc<dyn Faults> {
        Arc::new(Starter { process: self.process.clone() })
    }
}

/// A broker's URL, and the way to it through a proxy: at any free port, unless it says at which one.
fn reached(status: Status, impatient: &str) -> Option<Server> {
    let url = status.url?;
    let plain = Proxied { listen: 0, forward_to: address(&url)?.port() };
    let way = status.proxied.unwrap_or(plain);
    Some(Server { process: status.name, url, way, impatient: impatient.to_owned() })
}

/// The address in a URL of the starter's, wherever it stands.
pub(super) fn address(url: &str) -> Option<SocketAddr> {
    let begin = url.find("127.0.0.1:")?;
    let end = url[begin..].find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)));
    url[begin..end.map_or(url.len(), |end| begin + end)].parse().ok()
}

fn starter() -> Result<Brokers, String> {
    let options = Options { ports: PortChoice::Same, ..Options::default() };
    Brokers::open(default_state(), options).map_err(|e| e.to_string())
}

/// Kills and restarts a broker that the starter has started.
struct Starter {
    process: String,
}

#[async_trait::async_trait]
impl Faults for Starter {
    async fn kill(&self) -> Result<(), String> {
        starter()?.kill(&self.process).await.map_err(|e| e.to_string())
    }

    async fn restart(&self) -> Result<(), String> {
        starter()?.up(&[&self.process]).await.map(|_| ()).map_err(|e| e.to_string())
    }

    async fn pause(&self) -> Result<(), String> {
        starter()?.pause(&self.process).await.map_err(|e| e.to_string())
    }

    async fn resume(&self) -> Result<(), String> {
        starter()?.resume(&self.process).await.map_err(|e| e.to_string())
    }
}
