//! What an operator would look at.

use anybroker_core::{Diagnosis, Finding, Kind, Result, Topic, TopologyMode};
use serde_json::Value;

use crate::bucket;
use crate::config::{Login, NatsConfig, Sync};
use crate::link::Link;
use crate::server::Version;
use crate::streams;

/// Looks at server, connection and, if one is named, topic.
pub(crate) async fn diagnose(
    link: &Link,
    config: &NatsConfig,
    topic: Option<&Topic>,
) -> Result<Vec<Diagnosis>> {
    let server = link.server()?;
    let mut found = vec![version(&server.version), encryption(config, server.tls_required), login(config)];
    if config.core {
        return Ok(found);
    }
    let jetstream = link.api::<Value>("diagnose", "INFO", &Value::Null).await;
    let missing = jetstream.is_err();
    found.push(match jetstream {
        Ok(_) => Diagnosis::new("JetStream", Finding::Fine, "it answers"),
        Err(error) => Diagnosis::new("JetStream", Finding::Failure, error.to_string()),
    });
    if missing {
        return Ok(found);
    }
    found.push(match bucket::declare(link, "diagnose", config, TopologyMode::Check).await {
        Ok(timeout) => {
            Diagnosis::new("groups", Finding::Fine, format!("a silent member is out after {timeout:?}"))
        }
        Err(error) => Diagnosis::new("groups", failure(&error), error.to_string())
            .advice("declare a topic: anybroker topics create URL TOPIC"),
    });
    if let Some(topic) = topic {
        found.extend(stream(link, config, topic).await);
    }
    Ok(found)
}

fn failure(error: &anybroker_core::Error) -> Finding {
    match error.kind() {
        Kind::NotFound => Finding::Warning,
        _ => Finding::Failure,
    }
}

fn version(text: &str) -> Diagnosis {
    let version = Version::read(text);
    if version < Version(2, 10, 23) {
        let advice =
            "upgrade to 2.10.23 or later: before that a stream may be lost with the server's process";
        let finding = if version < Version(2, 10, 0) { Finding::Failure } else { Finding::Warning };
        return Diagnosis::new("version", finding, format!("NATS {text}")).advice(advice);
    }
    Diagnosis::new("version", Finding::Fine, format!("NATS {text}"))
}

fn encryption(config: &NatsConfig, required: bool) -> Diagnosis {
    match config.tls || required {
        true => Diagnosis::new("encryption", Finding::Fine, "the connection is encrypted"),
        false => Diagnosis::new("encryption", Finding::Warning, "the connection is not encrypted")
            .advice("set up `tls` on the server and connect by tls://"),
    }
}

fn login(config: &NatsConfig) -> Diagnosis {
    match config.login {
        Login::None => Diagnosis::new("login", Finding::Warning, "the server lets everybody in")
            .advice("set up users, nkeys or accounts on the server"),
        _ => Diagnosis::new("login", Finding::Fine, "the server knows us"),
    }
}

async fn stream(link: &Link, config: &NatsConfig, topic: &Topic) -> Vec<Diagnosis> {
    let found = streams::topic(link, "diagnose", config, TopologyMode::Check, topic, config.partitions).await;
    let stream = match found {
        Ok(found) => found,
        Err(error) => return vec![Diagnosis::new("topic", Finding::Failure, error.to_string())],
    };
    let Some(stream) = stream.config() else { return Vec::new() };
    let mut all = Vec::new();
    all.push(match (stream.num_replicas, config.sync) {
        (1, Sync::Interval) => Diagnosis::new(
            "durability",
            Finding::Warning,
            "one replica, not written through",
        )
        .advice(
            "sync_interval: always in the server's configuration and sync=always in the URL, or 3 replicas",
        ),
        (replicas, _) => Diagnosis::new("durability", Finding::Fine, format!("{replicas} replicas")),
    });
    all.push(match streams::losing(stream) {
        Some(limit) => Diagnosis::new("retention", Finding::Warning, limit)
            .advice("a group that falls behind the limit loses messages: lift it, or watch the backlog"),
        None => Diagnosis::new("retention", Finding::Fine, "messages are kept until they are purged"),
    });
    all
}
