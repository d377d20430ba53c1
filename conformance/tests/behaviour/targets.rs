//! The backends under test, with the URLs at which they are reached.

use std::process::Stdio;
use std::sync::Arc;

use anybroker_conformance::brokers::{Brokers, Options, PortChoice, State, default_state};
use anybroker_conformance::cases::{Connect, Faults, MEMBER_VARIABLE, SpawnMember};

/// A backend in one configuration.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    url: String,
    /// The broker process, by the starter's name; none for an embedded broker.
    process: Option<&'static str>,
    /// Other processes can reach it.
    shared: bool,
    /// The only cases that this configuration is for; all if empty.
    pub(crate) only: &'static [&'static str],
    /// Why it is left out on purpose.
    pub(crate) excluded: Option<String>,
    /// Why it cannot be had, which fails its cases.
    pub(crate) missing: Option<String>,
}

impl Target {
    pub(crate) fn connect(&self) -> Connect {
        let url = self.url.clone();
        Arc::new(move || {
            let url = url.clone();
            Box::pin(async move { anybroker::connect(&url).await })
        })
    }

    /// Members are this very program, told to be one.
    pub(crate) fn spawn_member(&self) -> Option<SpawnMember> {
        if !self.shared {
            return None;
        }
        let url = self.url.clone();
        Some(Arc::new(move |orders| {
            tokio::process::Command::new(std::env::current_exe()?)
                .env(MEMBER_VARIABLE, orders)
                .env("ANYBROKER_URL", &url)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
        }))
    }

    /// Whether the broker has no process of its own.
    pub(crate) fn embedded(&self) -> bool {
        self.process.is_none()
    }

    pub(crate) fn faults(&self) -> Option<Arc<dyn Faults>> {
        Some(Arc::new(Starter { process: self.process? }))
    }
}

/// Kills and restarts a broker that the starter has started.
struct Starter {
    process: &'static str,
}

fn starter() -> Brokers {
    let options = Options { ports: PortChoice::Same, ..Options::default() };
    Brokers::open(default_state(), options).expect("the brokers' state can be read")
}

#[async_trait::async_trait]
impl Faults for Starter {
    async fn kill(&self) -> Result<(), String> {
        starter().kill(self.process).await.map_err(|e| e.to_string())
    }

    async fn restart(&self) -> Result<(), String> {
        starter().up(&[self.process]).await.map(|_| ()).map_err(|e| e.to_string())
    }
}

/// Where the starter runs a broker, or why it does not.
fn running(process: &'static str) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async { starter().status(&[process]).await }).map_err(|e| e.to_string())?;
    let ready = status.into_iter().find(|status| status.state == State::Ready);
    ready.and_then(|status| status.url).ok_or_else(|| {
        format!(
            "{process} is not running; start it: anybroker brokers up {process}, or run all tests by cargo xtask test. \
             ANYBROKER_TEST_EXCLUDE={process} leaves it out by name"
        )
    })
}

/// A URL with more parameters.
fn with(url: &str, parameters: &str) -> String {
    let join = if url.contains('?') { '&' } else { '?' };
    format!("{url}{join}{parameters}")
}

/// Every backend, in the configurations that differ in what they promise.
pub(crate) fn all() -> Vec<Arc<Target>> {
    let local = |name, url: &str, only| Target {
        name,
        url: url.to_owned(),
        process: None,
        shared: false,
        only,
        excluded: None,
        missing: None,
    };
    let server = |name, process: &'static str, parameters: &str| {
        let excluded = excluded(process);
        let found = if excluded.is_some() { Ok(String::new()) } else { running(process) };
        let missing = found.as_ref().err().cloned();
        let url = with(&found.unwrap_or_default(), parameters);
        Target { name, url, process: Some(process), shared: true, only: &[], excluded, missing }
    };
    let sqlite = sqlite_file();
    let targets = [
        local("memory", "memory://behaviour?topology=check&partitions=4", &[]),
        local("memory-lease", "memory://lease?topology=check&lease=300ms", &["lease_lapses"]),
        Target { shared: true, ..local("sqlite", &format!("{sqlite}&partitions=4"), &[]) },
        local("sqlite-lease", &format!("{sqlite}&lease=300ms"), &["lease_lapses"]),
        // A killed member is noticed after 6 s and not after 45.
        server("kafka", "kafka", "partitions=6&x.session.timeout.ms=6000"),
        server("rabbitmq", "rabbitmq", "partitions=4"),
        server("rabbitmq-one-queue", "rabbitmq", ""),
        server("rabbitmq4", "rabbitmq4", "partitions=4"),
        server("nats", "nats", "partitions=4"),
        // A killed member's messages come again after 12 s and not after 30.
        server("sqs", "elasticmq", "visibility=12s&wait=2s"),
        Target { only: &["lease_lapses"], ..server("sqs-lease", "elasticmq", "lease_limit=1s&wait=2s") },
        server(
            "sqs-fan-out",
            "elasticmq",
            &format!("visibility=12s&wait=2s&fan_out=publisher&groups={GROUPS}"),
        ),
    ];
    targets.into_iter().map(Arc::new).collect()
}

/// Every group that a case declares, for publishers that must know them all.
const GROUPS: &str = "g,group-0,group-1,group-2,late,reader";

/// Where this run's files are.
fn directory() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("anybroker-behaviour-{}", std::process::id()))
}

/// Deletes this run's files.
pub(crate) fn tidy() {
    let _ = std::fs::remove_dir_all(directory());
}

/// The URL of a new file, which is created here, as `topology=check` creates none.
fn sqlite_file() -> String {
    let directory = directory();
    std::fs::create_dir_all(&directory).unwrap();
    let url = format!("sqlite://{}/behaviour.db", directory.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { anybroker::connect(&url).await.unwrap().close().await.unwrap() });
    format!("{url}?topology=check")
}

/// `ANYBROKER_TEST_EXCLUDE=kafka,rabbitmq4` leaves brokers out, by name and reported.
fn excluded(process: &str) -> Option<String> {
    let names = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    names.split(',').any(|name| name == process).then(|| "excluded by ANYBROKER_TEST_EXCLUDE".to_owned())
}
