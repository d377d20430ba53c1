//! The backends under test, with the URLs at which they are reached.

use anybroker_conformance::brokers::Proxied;
use anybroker_conformance::subject::{Server, Subject, with};

/// Every backend, in the configurations that differ in what they promise.
pub(crate) fn all() -> Vec<Subject> {
    let sqlite = sqlite_file();
    vec![
        local("memory", "memory://behaviour?topology=check&partitions=4"),
        Subject {
            only: &["lease_lapses"],
            ..local("memory-lease", "memory://lease?topology=check&lease=300ms")
        },
        local("like-kafka", "memory://like-kafka?like=kafka&topology=check"),
        local("like-rabbitmq", "memory://like-rabbitmq?like=rabbitmq&topology=check"),
        local("like-jetstream", "memory://like-jetstream?like=jetstream&topology=check"),
        local("like-nats-core", "memory://like-nats-core?like=nats-core"),
        local("like-sqs-fifo", "memory://like-sqs-fifo?like=sqs-fifo&topology=check"),
        Subject { shared: true, ..local("sqlite", &format!("{sqlite}&partitions=4")) },
        Subject { only: &["lease_lapses"], ..local("sqlite-lease", &format!("{sqlite}&lease=300ms")) },
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
        Subject { only: &["lease_lapses"], ..elasticmq("sqs-lease", "lease_limit=1s&wait=2s") },
        elasticmq("sqs-fan-out", &format!("visibility=15s&wait=2s&fan_out=publisher&groups={GROUPS}")),
    ]
}

fn local(name: &str, url: &str) -> Subject {
    Subject::new(name, url, |url| async move { anybroker::connect(&url).await })
}

fn server(name: &str, process: &str, parameters: &str, impatient: &str) -> Subject {
    let excluded = excluded(process);
    let found = match excluded {
        Some(_) => Err(String::new()),
        None => now(Server::running(process, impatient)),
    };
    let missing = found.as_ref().err().cloned();
    let nowhere = || Server {
        process: process.to_owned(),
        url: String::new(),
        way: Proxied { listen: 0, forward_to: 0 },
        impatient: String::new(),
    };
    let server = found.unwrap_or_else(|_| nowhere());
    let url = with(server.url.clone(), parameters);
    Subject { server: Some(server), shared: true, excluded, missing, ..local(name, &url) }
}

fn elasticmq(name: &str, parameters: &str) -> Subject {
    Subject {
        volatile: Some("ElasticMQ keeps its messages in memory, and a restart loses them by design"),
        ..server(name, "elasticmq", parameters, "")
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
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
    now(async { anybroker::connect(&url).await.unwrap().close().await.unwrap() });
    format!("{url}?topology=check")
}

/// The same server without JetStream.
fn core(subject: Subject) -> Subject {
    Subject { url: subject.url.replacen("nats://", "nats+core://", 1), ..subject }
}

/// `ANYBROKER_TEST_EXCLUDE=kafka,rabbitmq4` leaves brokers out, by name and reported.
fn excluded(process: &str) -> Option<String> {
    let names = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    names.split(',').any(|name| name == process).then(|| "excluded by ANYBROKER_TEST_EXCLUDE".to_owned())
}
