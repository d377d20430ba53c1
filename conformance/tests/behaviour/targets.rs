//! The backends under test, with the URLs at which they are reached.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;

use anybroker_conformance::brokers::{Brokers, Options, PortChoice, Proxied, State, Status, default_state};
use anybroker_conformance::cases::{
    Applicable, Case, Connect, Detour, Disturbs, Faults, MEMBER_VARIABLE, SpawnMember,
};
use anybroker_conformance::proxy::Proxy;

use crate::turns::{Turn, turn};

/// A backend in one configuration.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    url: String,
    /// The broker's process; none for an embedded one.
    server: Option<Server>,
    /// Whether another process reaches it by its URL.
    shared: bool,
    /// Why a restart loses what was confirmed, where that is this server's way and not that of what it stands for.
    pub(crate) volatile: Option<&'static str>,
    /// The only cases that this configuration is for; all if empty.
    only: &'static [&'static str],
    /// Why it is left out on purpose.
    pub(crate) excluded: Option<String>,
    /// Why it cannot be had, which fails its cases.
    pub(crate) missing: Option<String>,
}

/// A broker that the starter runs.
#[derive(Clone)]
struct Server {
    /// The starter's name for it.
    process: &'static str,
    /// Where it is, and where a proxy is to listen.
    way: Proxied,
    /// What members apart have in their URL besides: they notice within seconds that the other side is silent, and it that
    /// they are.
    impatient: &'static str,
}

impl Target {
    pub(crate) fn runs(&self, case: &Case) -> bool {
        self.only.is_empty() || self.only.contains(&case.name)
    }

    /// Waits until nothing else on the same broker is in the way of a case, nor the case in its way.
    pub(crate) fn turn(&self, disturbs: Disturbs) -> Turn {
        turn(self.server.as_ref().map_or(self.name, |server| server.process), disturbs)
    }

    pub(crate) fn connect(&self) -> Connect {
        connect(self.url.clone())
    }

    /// Members are this very program, told to be one.
    pub(crate) fn spawn_member(&self) -> Applicable<SpawnMember> {
        if !self.shared {
            return Err("the broker lives in one process, and ends with it");
        }
        let impatient = self.server.as_ref().map_or("", |server| server.impatient);
        let url = with(self.url.clone(), impatient);
        Ok(Arc::new(move |orders| {
            tokio::process::Command::new(std::env::current_exe()?)
                .env(MEMBER_VARIABLE, orders)
                .env("ANYBROKER_URL", &url)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
        }))
    }

    pub(crate) fn faults(&self) -> Applicable<Arc<dyn Faults>> {
        let server = self.server.as_ref().ok_or("embedded: it has no process of its own")?;
        Ok(Arc::new(Starter { process: server.process }))
    }

    pub(crate) fn detour(&self) -> Applicable<Detour> {
        let server = self.server.clone().ok_or("embedded: there is no connection")?;
        let url = self.url.clone();
        Ok(Arc::new(move || {
            let (url, server) = (url.clone(), server.clone());
            Box::pin(async move {
                let broker = SocketAddr::from((Ipv4Addr::LOCALHOST, server.way.forward_to));
                let proxy = Proxy::listen(server.way.listen, broker).await?;
                let direct = address(&url).ok_or_else(|| std::io::Error::other("the URL has no address"))?;
                let url = url.replacen(&direct.to_string(), &proxy.address().to_string(), 1);
                Ok((proxy, connect(with(url, server.impatient))))
            })
        }))
    }
}

fn connect(url: String) -> Connect {
    Arc::new(move || {
        let url = url.clone();
        Box::pin(async move { anybroker::connect(&url).await })
    })
}

/// The address in a URL of the starter's, wherever it stands.
fn address(url: &str) -> Option<SocketAddr> {
    let begin = url.find("127.0.0.1:")?;
    let end = url[begin..].find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)));
    url[begin..end.map_or(url.len(), |end| begin + end)].parse().ok()
}

/// A URL with more parameters.
fn with(url: String, parameters: &str) -> String {
    match (parameters, url.contains('?')) {
        ("", _) => url,
        (_, true) => format!("{url}&{parameters}"),
        (_, false) => format!("{url}?{parameters}"),
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

    async fn pause(&self) -> Result<(), String> {
        starter().pause(self.process).await.map_err(|e| e.to_string())
    }

    async fn resume(&self) -> Result<(), String> {
        starter().resume(self.process).await.map_err(|e| e.to_string())
    }
}

/// Where the starter runs a broker, or why it does not.
fn running(process: &'static str) -> Result<(String, Proxied), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async { starter().status(&[process]).await }).map_err(|e| e.to_string())?;
    let ready = status.into_iter().find(|status| status.state == State::Ready);
    ready.and_then(reached).ok_or_else(|| {
        format!(
            "{process} is not running; start it: anybroker brokers up {process}, or run all tests by cargo xtask test. \
             ANYBROKER_TEST_EXCLUDE={process} leaves it out by name"
        )
    })
}

/// A broker's URL, and the way to it through a proxy: at any free port, unless it says at which one.
fn reached(status: Status) -> Option<(String, Proxied)> {
    let url = status.url?;
    let plain = Proxied { listen: 0, forward_to: address(&url)?.port() };
    Some((url, status.proxied.unwrap_or(plain)))
}

/// Every backend, in the configurations that differ in what they promise.
pub(crate) fn all() -> Vec<Arc<Target>> {
    let local = |name, url: &str, only| Target {
        name,
        url: url.to_owned(),
        server: None,
        shared: false,
        volatile: None,
        only,
        excluded: None,
        missing: None,
    };
    let server = |name, process: &'static str, parameters: &str, impatient| {
        let excluded = excluded(process);
        let found = if excluded.is_some() { Err(String::new()) } else { running(process) };
        let missing = found.as_ref().err().cloned();
        let (url, way) = found.unwrap_or((String::new(), Proxied { listen: 0, forward_to: 0 }));
        Target {
            server: Some(Server { process, way, impatient }),
            shared: true,
            excluded,
            missing,
            ..local(name, &with(url, parameters), &[])
        }
    };
    let elasticmq = |name, parameters: &str| Target {
        volatile: Some("ElasticMQ keeps its messages in memory, and a restart loses them by design"),
        ..server(name, "elasticmq", parameters, "")
    };
    let sqlite = sqlite_file();
    let targets = [
        local("memory", "memory://behaviour?topology=check&partitions=4", &[]),
        local("memory-lease", "memory://lease?topology=check&lease=300ms", &["lease_lapses"]),
        Target { shared: true, ..local("sqlite", &format!("{sqlite}&partitions=4"), &[]) },
        local("sqlite-lease", &format!("{sqlite}&lease=300ms"), &["lease_lapses"]),
        // A killed member is noticed after 6 s and not after 10 or 45.
        server("kafka", "kafka", "partitions=6&x.session.timeout.ms=6000", ""),
        server("rabbitmq", "rabbitmq", "partitions=4", "heartbeat=3s"),
        server("rabbitmq-one-queue", "rabbitmq", "", "heartbeat=3s"),
        server("rabbitmq4", "rabbitmq4", "partitions=4", "heartbeat=3s"),
        server("nats", "nats", "partitions=4&session_timeout=6s", "ping_interval=2s"),
        server("nats-strict", "nats", "partitions=4&lanes=strict&session_timeout=6s", "ping_interval=2s"),
        core(server("nats-core", "nats", "", "ping_interval=2s")),
        // A killed member's messages come again after 15 s and not after 30.
        elasticmq("sqs", "visibility=15s&wait=2s"),
        Target { only: &["lease_lapses"], ..elasticmq("sqs-lease", "lease_limit=1s&wait=2s") },
        elasticmq("sqs-fan-out", &format!("visibility=15s&wait=2s&fan_out=publisher&groups={GROUPS}")),
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

/// The same server without JetStream.
fn core(target: Target) -> Target {
    Target { url: target.url.replacen("nats://", "nats+core://", 1), ..target }
}

/// `ANYBROKER_TEST_EXCLUDE=kafka,rabbitmq4` leaves brokers out, by name and reported.
fn excluded(process: &str) -> Option<String> {
    let names = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    names.split(',').any(|name| name == process).then(|| "excluded by ANYBROKER_TEST_EXCLUDE".to_owned())
}
