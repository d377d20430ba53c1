//! The backends under test, with the URLs at which they are reached.

use std::process::Stdio;
use std::sync::Arc;

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
    /// Why it is not run.
    pub(crate) excluded: Option<String>,
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
        None
    }
}

/// Every backend, in the configurations that differ in what they promise.
pub(crate) fn all() -> Vec<Arc<Target>> {
    let local = |name, url: &str, only| Target { name, url: url.to_owned(), process: None, only, excluded: None };
    let server = |name, process: &'static str, default: &str, parameters: &str| {
        let variable = format!("ANYBROKER_{}_URL", process.to_uppercase());
        let base = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
        Target {
            name,
            url: format!("{base}?{parameters}"),
            process: Some(process),
            only: &[],
            excluded: excluded(process),
        }
    };
    let targets = [
        local("memory", "memory://behaviour?topology=check&partitions=4", &[]),
        local("memory-lease", "memory://lease?topology=check&lease=300ms", &["lease_lapses"]),
        // A killed member is noticed after 6 s and not after 45.
        server("kafka", "kafka", "kafka://127.0.0.1:9092", "partitions=6&x.session.timeout.ms=6000"),
        server("rabbitmq", "rabbitmq", "amqp://guest:guest@127.0.0.1:5672", "partitions=4"),
        server("rabbitmq-one-queue", "rabbitmq", "amqp://guest:guest@127.0.0.1:5672", ""),
        server("rabbitmq4", "rabbitmq4", "amqp://guest:guest@127.0.0.1:5673", "partitions=4"),
    ];
    targets.into_iter().map(Arc::new).collect()
}

/// `ANYBROKER_TEST_EXCLUDE=kafka,rabbitmq4` leaves brokers out, by name and reported.
fn excluded(process: &str) -> Option<String> {
    let names = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    names.split(',').any(|name| name == process).then(|| "excluded by ANYBROKER_TEST_EXCLUDE".to_owned())
}
