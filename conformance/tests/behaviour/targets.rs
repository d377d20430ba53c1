//! The backends under test, with the URLs at which they are reached.

use anybroker_conformance::subject::tuning::{added, tuning, volatile};
use anybroker_conformance::subject::{Server, Subject, with};

/// Every backend, in the configurations that differ in what they promise.
pub(crate) fn all() -> Vec<Subject> {
    let sqlite = sqlite_file();
    vec![
        local("memory", "memory://behaviour?partitions=4"),
        Subject { only: &["lease_lapses"], ..local("memory-lease", "memory://lease?lease=300ms") },
        local("like-kafka", "memory://like-kafka?like=kafka"),
        local("like-rabbitmq", "memory://like-rabbitmq?like=rabbitmq"),
        local("like-jetstream", "memory://like-jetstream?like=jetstream"),
        local("like-nats-core", "memory://like-nats-core?like=nats-core"),
        local("like-sqs-fifo", "memory://like-sqs-fifo?like=sqs-fifo"),
        local("like-pulsar", "memory://like-pulsar?like=pulsar"),
        Subject { shared: true, ..local("sqlite", &format!("{sqlite}?partitions=4")) },
        Subject { only: &["lease_lapses"], ..local("sqlite-lease", &format!("{sqlite}?lease=300ms")) },
        server("kafka", "kafka", "partitions=6"),
        server("rabbitmq", "rabbitmq", "partitions=4"),
        server("rabbitmq-one-queue", "rabbitmq", ""),
        server("rabbitmq4", "rabbitmq4", "partitions=4"),
        server("nats", "nats", "partitions=4"),
        server("nats-strict", "nats", "partitions=4&lanes=strict"),
        server("nats-core", "nats", "core"),
        server("pulsar", "pulsar", "partitions=4"),
        server("pulsar-one-partition", "pulsar", ""),
        server("pulsar-failover", "pulsar", "partitions=4&subscription_type=failover"),
        server("sqs", "elasticmq", ""),
        Subject { only: &["lease_lapses"], ..server("sqs-lease", "elasticmq", "lease_limit=1s") },
        server("sqs-fan-out", "elasticmq", "fan_out=publisher"),
    ]
}

fn local(name: &str, url: &str) -> Subject {
    let url = with(url.to_owned(), &added(&url.parse().unwrap()).join("&"));
    Subject::new(name, url, |url| async move { anybroker::connect(&url).await })
}

fn server(name: &str, process: &str, parameters: &str) -> Subject {
    let excluded = excluded(process);
    let found = match excluded {
        Some(_) => Err(String::new()),
        None => now(Server::running(process)),
    };
    let missing = found.as_ref().err().cloned();
    let server = found.unwrap_or_else(|_| Server::new(process, "none://"));
    let url = match parameters {
        // The same server without JetStream.
        "core" => server.url.replacen("nats://", "nats+core://", 1),
        _ => with(server.url.clone(), parameters),
    };
    let scheme = url.split("://").next().unwrap();
    let server = server.impatient(tuning(scheme).impatient);
    Subject {
        server: Some(server),
        shared: true,
        volatile: volatile(process),
        excluded,
        missing,
        ..local(name, &url)
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

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
    url
}

/// `ANYBROKER_TEST_EXCLUDE=kafka,rabbitmq4` leaves brokers out, by name and reported.
fn excluded(process: &str) -> Option<String> {
    let names = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    names.split(',').any(|name| name == process).then(|| "excluded by ANYBROKER_TEST_EXCLUDE".to_owned())
}
