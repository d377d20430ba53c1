//! The backends under test, with the URLs at which they are reached.

use anybroker_conformance::subject::Subject;

use crate::reached::{local, now, server};

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
