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
    /// The broker process, by the starter's name; none for a broker in this process.
    process: Option<&'static str>,
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
        self.process?;
        let url = self.url.clone();
        Some(Arc::new(move |orders| {
            tokio::process::Command::new(std::env::current_exe()?)
                .env(MEMBER_VARIABLE, orders)
                .env("ANYBROKER_URL", &url)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
        }))
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

/// Every backend, in the configurations that differ in what they promise.
pub(crate) fn all() -> Vec<Arc<Target>> {
    let local = |name, url: &str, only| Target {
        name,
        url: url.to_owned(),
        process: None,
        only,
        excluded: None,
        missing: None,
    };
    let server = |name, process: &'static str, parameters: &str| {
        let excluded = excluded(process);
        let found = if excluded.is_some() { Ok(String::new()) } else { running(process) };
        let missing = found.as_ref().err().cloned();
        let url = format!("{}?{parameters}", found.unwrap_or_default());
        Target { name, url, process: Some(process), only: &[], excluded, missing }
    };
    let targets = [
        local("memory", "memory://behaviour?topology=check&partitions=4", &[]),
        local("memory-lease", "memory://lease?topology=check&lease=300ms", &["lease_lapses"]),
        // A killed member is noticed after 6 s and not after 45.
        server("kafka", "kafka", "partitions=6&x.session.timeout.ms=6000"),
        server("rabbitmq", "rabbitmq", "partitions=4"),
        server("rabbitmq-one-queue", "rabbitmq", ""),
        server("rabbitmq4", "rabbitmq4", "partitions=4"),
        server("nats", "nats", "partitions=4"),
        server("nats-strict", "nats", "partitions=4&lanes=strict"),
        core(server("nats-core", "nats", "")),
    ];
    targets.into_iter().map(Arc::new).collect()
}

/// The same server without JetStream.
fn core(target: Target) -> Target {
    Target { url: target.url.replacen("nats://", "nats+core://", 1), ..target }
}

/// `ANYBROKER_TEST_EXCLUDE=kafka,rabbitmq4` leaves brokers out, by name and reported.
fn excluded(process: &str) -> Option<String> {
    let names = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    names.split(',').any(|name| name == process).then(|| "excluded by ANYBROKER_TEST_EXCLUDE".to_owned())
}
