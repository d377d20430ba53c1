//! What an operator would look at.

use std::collections::BTreeMap;

use anybroker_core::{Diagnosis, Error, Finding, Topic};

use crate::config::{Journal, PulsarConfig, SubscriptionType};
use crate::connections::Connections;
use crate::manage::Manager;
use crate::topology::Context;

/// Looks at server, connection, admin interface and, if one is named, topic.
pub(crate) async fn of(context: &Context, topic: Option<&Topic>) -> Vec<Diagnosis> {
    let config = &context.config;
    let mut found = vec![encryption(config), login(config)];
    match Connections::open(config.clone()).await {
        Ok(connections) => found.push(version(&connections.base().version)),
        Err(error) => found.push(failed("connection", &error)),
    }
    match context.manager.settings("diagnose").await {
        Ok(Some(settings)) => found.extend(settings_of(config, &settings)),
        Ok(None) => found.push(Diagnosis::new(
            "settings",
            Finding::Unknown,
            "this role may not see the broker's settings",
        )),
        Err(error) => {
            found.push(failed("admin interface", &error).advice("name it by admin=http://host:8080"));
            return found;
        }
    }
    if let Some(topic) = topic {
        found.extend(of_topic(&context.manager, topic).await);
    }
    found
}

fn failed(subject: &'static str, error: &Error) -> Diagnosis {
    Diagnosis::new(subject, Finding::Failure, error.to_string())
}

fn version(text: &str) -> Diagnosis {
    let number = text.trim_start_matches("Pulsar Server").trim_start_matches('-');
    let major: u32 = number.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    match major {
        4.. => Diagnosis::new("version", Finding::Fine, format!("Pulsar {number}")),
        _ => Diagnosis::new("version", Finding::Warning, format!("Pulsar {number}"))
            .advice("before 4.0 a key's order may break when members of a Key_Shared group come and go"),
    }
}

fn encryption(config: &PulsarConfig) -> Diagnosis {
    match config.tls {
        true => Diagnosis::new("encryption", Finding::Fine, "connections are encrypted"),
        false => Diagnosis::new("encryption", Finding::Warning, "connections are not encrypted")
            .advice("set up brokerServicePortTls and connect by pulsar+ssl://"),
    }
}

fn login(config: &PulsarConfig) -> Diagnosis {
    match (&config.token, &config.tls_files.certificate) {
        (None, None) => Diagnosis::new("login", Finding::Warning, "the broker lets everybody in")
            .advice("set authenticationEnabled on the broker and log in by token= or a certificate"),
        _ => Diagnosis::new("login", Finding::Fine, "the broker knows us"),
    }
}

fn settings_of(config: &PulsarConfig, settings: &BTreeMap<String, String>) -> Vec<Diagnosis> {
    let number = |name: &str| settings.get(name).and_then(|value| value.parse::<u64>().ok());
    let quorum = number("managedLedgerDefaultAckQuorum").unwrap_or(1);
    let copies = format!("{quorum} bookies have a message before it is confirmed");
    let durability = match (quorum, config.journal) {
        (1, None | Some(Journal::Async)) => Diagnosis::new("durability", Finding::Warning, copies).advice(
            "managedLedgerDefaultAckQuorum=2 or more; or, if bookies write through, state it: journal=sync",
        ),
        _ => Diagnosis::new("durability", Finding::Fine, copies),
    };
    let silence = number("keepAliveIntervalSeconds").unwrap_or(30);
    let patience = config.patience();
    let life = match patience.as_secs_f64() < silence as f64 {
        true => Diagnosis::new("signs of life", Finding::Fine, format!("a silent member is out after {silence} s or more, and stops by itself after {patience:?}")),
        false => Diagnosis::new("signs of life", Finding::Failure, format!("the broker gives up on a silent member after {silence} s, and it stops by itself only after {patience:?}"))
            .advice("a shorter keep_alive="),
    };
    vec![durability, life]
}

async fn of_topic(manager: &Manager, topic: &Topic) -> Vec<Diagnosis> {
    let partitions = match manager.partitions("diagnose", topic).await {
        Ok(Some(partitions)) => partitions,
        Ok(None) => {
            return vec![
                Diagnosis::new("topic", Finding::Failure, format!("there is no topic `{topic}`"))
                    .advice("create it: anybroker topics create URL TOPIC --groups GROUP"),
            ];
        }
        Err(error) => return vec![failed("topic", &error)],
    };
    let text =
        if partitions == 0 { "it is not partitioned".to_owned() } else { format!("{partitions} partitions") };
    let mut all = vec![Diagnosis::new("topic", Finding::Fine, text)];
    all.push(match manager.retention("diagnose", topic).await {
        Ok(Some(kept)) if kept.keeps() => Diagnosis::new("retention", Finding::Fine, kept.text()),
        Ok(_) => Diagnosis::new(
            "retention",
            Finding::Warning,
            "what is published before any group exists may be dropped",
        )
        .advice("pulsar-admin topics set-retention, or declare groups first"),
        Err(error) => failed("retention", &error),
    });
    all.extend(held_otherwise(manager, topic, partitions > 0).await);
    all
}

/// Groups that members of another type have at the moment: ours would be refused.
async fn held_otherwise(manager: &Manager, topic: &Topic, partitioned: bool) -> Option<Diagnosis> {
    let stats = manager.stats("diagnose", topic, partitioned).await.ok()?;
    let shared = stats
        .iter()
        .flat_map(|partition| &partition.subscriptions)
        .find(|(_, group)| group.kind == "Shared")?;
    let text = format!("group `{}` is consumed by a Shared subscription, which keeps no order", shared.0);
    let advice = format!("close its consumers, then join as {:?}", SubscriptionType::KeyShared);
    Some(Diagnosis::new("groups", Finding::Warning, text).advice(advice))
}
