//! Brokers that the starter runs.

use crate::brokers::{Brokers, Options, PortChoice, State, Status, default_state};
use crate::cases::Faults;

/// Those of these brokers that run and answer; of all if none is named.
///
/// # Errors
/// They cannot be asked.
pub(super) async fn ready(names: &[&str]) -> Result<Vec<Status>, String> {
    let mut statuses = open()?.status(names).await.map_err(|e| e.to_string())?;
    statuses.retain(|status| status.state == State::Ready);
    Ok(statuses)
}

/// Those of all brokers that run, if there may be any. Where nothing was ever started, nothing is left behind.
pub(super) async fn all_ready() -> Result<Vec<Status>, String> {
    let mut names = Brokers::names();
    names.retain(|name| Brokers::is_broker(name));
    if default_state().exists() { ready(&names).await } else { Ok(Vec::new()) }
}

fn open() -> Result<Brokers, String> {
    let options = Options { ports: PortChoice::Same, ..Options::default() };
    Brokers::open(default_state(), options).map_err(|e| e.to_string())
}

/// Breaks a broker that the starter has started.
pub(super) struct Starter {
    pub(super) process: String,
}

#[async_trait::async_trait]
impl Faults for Starter {
    async fn kill(&self) -> Result<(), String> {
        open()?.kill(&self.process).await.map_err(|e| e.to_string())
    }

    async fn restart(&self) -> Result<(), String> {
        open()?.up(&[&self.process]).await.map(|_| ()).map_err(|e| e.to_string())
    }

    async fn pause(&self) -> Result<(), String> {
        open()?.pause(&self.process).await.map_err(|e| e.to_string())
    }

    async fn resume(&self) -> Result<(), String> {
        open()?.resume(&self.process).await.map_err(|e| e.to_string())
    }
}
