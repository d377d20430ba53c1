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

    /// Starts those again that do not answer, and those through which no message comes; how each was found, and the end of
    /// its log. `works` tries a broker out by its URL.
    ///
    /// # Errors
    /// One does not come back.
    pub(crate) fn mend(&self, works: impl Fn(&str) -> Result<(), String>) -> Result<Vec<String>, String> {
        if self.names.is_empty() {
            return Ok(Vec::new());
        }
        let statuses = self.runtime.block_on(async { self.brokers.status(&self.names).await });
        let mut mended = Vec::new();
        for status in statuses.map_err(|e| e.to_string())? {
            let Err(why) = is_well(&status, &works) else { continue };
            let evidence = evidence(&status.name, &why);
            eprintln!("== {evidence}");
            let again = self.runtime.block_on(async { self.brokers.restart(&status.name).await });
            again.map_err(|error| format!("{evidence}{error}"))?;
            mended.push(evidence);
        }
        Ok(mended)
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

fn is_well(status: &Status, works: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    match (&status.url, status.state) {
        (Some(url), State::Ready) if Brokers::is_broker(&status.name) => works(url),
        (_, State::Ready) => Ok(()),
        (_, state) => Err(format!("{state:?}: {}", status.reason.as_deref().unwrap_or("no process"))),
    }
}

/// How a broker was found, and the end of its log, which is kept for whoever looks into it.
fn evidence(name: &str, why: &str) -> String {
    let log = state().join(name).join("broker.log");
    let kept = std::env::temp_dir().join(format!("anybroker-broken-{name}.log"));
    let kept = std::fs::copy(&log, &kept).map_or_else(|e| e.to_string(), |_| kept.display().to_string());
    let log = std::fs::read(log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST)..].join("\n");
    format!("{name} was broken after the tests: {why}\nits log ({kept}) ended:\n{last}\n")
}

/// The brokers, without what only the patterns' tests need.
pub(crate) fn only_brokers() -> Vec<&'static str> {
    Brokers::names().into_iter().filter(|name| Brokers::is_broker(name)).collect()
}

/// Where this set's state lies; the tests find it by `ANYBROKER_BROKERS_DIR`.
pub(crate) fn state() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/test-brokers")
}
