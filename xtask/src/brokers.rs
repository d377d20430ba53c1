//! The brokers that the tests run against: a set of their own, on free ports, beside whatever else runs here.

use std::path::PathBuf;

use anybroker_conformance::brokers::{Brokers, Options, PortChoice, State, Status};
use tokio::runtime::Runtime;

/// The tests with Python's clients, which need Python and some packages.
const PYTHON: &str = "python";

/// So many lines of the log of a broker that does not answer are told.
const LAST: usize = 40;

pub(crate) struct TestBrokers {
    runtime: Runtime,
    brokers: Brokers,
    names: Vec<&'static str>,
}

impl TestBrokers {
    pub(crate) fn new(
        mut names: Vec<&'static str>,
        install_system: bool,
        exclude: &[String],
    ) -> Result<Self, String> {
        let all = Brokers::names();
        let known = |name: &&String| all.contains(&name.as_str()) || *name == PYTHON;
        if let Some(unknown) = exclude.iter().find(|name| !known(name)) {
            return Err(format!("--exclude {unknown}: there is {}, {PYTHON}", all.join(", ")));
        }
        names.retain(|name| !exclude.iter().any(|excluded| excluded == name));
        let options = Options { ports: PortChoice::Free, install_system, ..Options::default() };
        let brokers = Brokers::open(state(), options).map_err(|e| e.to_string())?;
        let brokers = brokers.on_progress(|progress| eprintln!("   {progress}"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Ok(TestBrokers { runtime: runtime.map_err(|e| e.to_string())?, brokers, names })
    }

    /// Starts them all and returns when they answer.
    pub(crate) fn up(&self) -> Result<Vec<Status>, String> {
        // To the starter, no name is every name.
        if self.names.is_empty() {
            return Ok(Vec::new());
        }
        self.runtime.block_on(async { self.brokers.up(&self.names).await }).map_err(|e| e.to_string())
    }

    /// Brings back those that do not answer any more; how each was found, and the end of its log.
    ///
    /// # Errors
    /// One does not come back.
    pub(crate) fn mend(&self) -> Result<Vec<String>, String> {
        if self.names.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = self
            .runtime
            .block_on(async { self.brokers.status(&self.names).await })
            .map_err(|e| e.to_string())?;
        found.retain(|status| status.state != State::Ready);
        let evidence: Vec<_> = found.iter().map(evidence).collect();
        evidence.iter().for_each(|evidence| eprintln!("== {evidence}"));
        let names: Vec<_> = found.iter().map(|status| status.name.as_str()).collect();
        if !names.is_empty() {
            let up = self.runtime.block_on(async { self.brokers.up(&names).await });
            up.map_err(|error| format!("{}{error}", evidence.concat()))?;
        }
        Ok(evidence)
    }

    /// Stops them, and forgets their data.
    pub(crate) fn down(&self) -> Result<(), String> {
        if self.names.is_empty() {
            return Ok(());
        }
        self.runtime
            .block_on(async { self.brokers.reset(&self.names).await })
            .map(|_| ())
            .map_err(|e| e.to_string())
    }
}

/// How a broker was found, and the end of its log.
fn evidence(found: &Status) -> String {
    let log = state().join(&found.name).join("broker.log");
    let log = std::fs::read(log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST)..].join("\n");
    let (name, reason) = (&found.name, found.reason.as_deref().unwrap_or("no process"));
    format!("{name} did not answer after the tests ({:?}: {reason}); its log ended:\n{last}\n", found.state)
}

/// The brokers, without the database and the registry that the patterns' tests need.
pub(crate) fn only_brokers() -> Vec<&'static str> {
    Brokers::names().into_iter().filter(|name| Brokers::is_broker(name)).collect()
}

/// Where this set's state lies; the tests find it by `ANYBROKER_BROKERS_DIR`.
pub(crate) fn state() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/test-brokers")
}
