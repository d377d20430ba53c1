//! What an operator would look at in a cluster. All of it blocks, within the deadlines of its requests.

use std::collections::HashMap;
use std::time::Duration;

use anybroker_core::{Diagnosis, Error, Finding, Kind, Result, Topic};

use crate::cluster::{Cluster, TopicView};
use crate::guarantees::missing;
use crate::permission;

const OPERATION: &str = "diagnose";
/// A group that is stopped over a weekend comes back to its messages.
const WEEKEND: Duration = Duration::from_secs(72 * 60 * 60);

type Settings = HashMap<String, String>;

/// Looks at the cluster, and at a topic.
pub(crate) fn of(cluster: &Cluster, topic: Option<&Topic>) -> Vec<Diagnosis> {
    let mut found = vec![version()];
    let brokers = brokers(cluster);
    found.push(count(&brokers));
    let settings = match &brokers {
        Ok(ids) if !ids.is_empty() => cluster.broker_settings(OPERATION, ids[0]),
        _ => Err(Error::new(Kind::NotFound, OPERATION, "no broker is known")),
    };
    match &settings {
        Ok(settings) => found.extend(defaults(settings)),
        Err(error) => found.push(unasked("broker settings", error)),
    }
    if let Some(topic) = topic {
        found.extend(of_topic(cluster, topic, settings.ok().as_ref()));
    }
    found.push(clock());
    found
}

fn version() -> Diagnosis {
    let text = "librdkafka does not tell the brokers' version: it agrees with them request by request";
    Diagnosis::new("version", Finding::Unknown, text).advice("kafka-broker-api-versions.sh tells it")
}

fn clock() -> Diagnosis {
    let text = "Kafka's protocol does not tell the brokers' time";
    Diagnosis::new("clock", Finding::Unknown, text)
        .advice("compare `date` on both sides: a record dated too far ahead is refused")
}

fn brokers(cluster: &Cluster) -> Result<Vec<i32>> {
    cluster.broker_ids(OPERATION)
}

fn count(brokers: &Result<Vec<i32>>) -> Diagnosis {
    match brokers {
        Err(error) => unasked("brokers", error),
        Ok(ids) if ids.len() < 3 => {
            let text = format!("{} broker(s) run: too few for replicas that outlive one of them", ids.len());
            Diagnosis::new("brokers", Finding::Warning, text)
                .advice("run 3 or more; for development this is as it should be")
        }
        Ok(ids) => Diagnosis::new("brokers", Finding::Fine, format!("{} brokers run", ids.len())),
    }
}

/// What could not be found out: that it is not permitted is no failure of the cluster.
fn unasked(subject: &'static str, error: &Error) -> Diagnosis {
    Diagnosis::new(subject, Finding::Unknown, error.to_string())
}

fn number(settings: &Settings, name: &str) -> Option<i64> {
    settings.get(name)?.parse().ok()
}

/// What topics get that are created without saying more.
fn defaults(settings: &Settings) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    if let Some(replicas) = number(settings, "offsets.topic.replication.factor") {
        let text = format!("committed offsets have {replicas} replica(s)");
        found.push(match replicas {
            1 => Diagnosis::new("offsets", Finding::Warning, text).advice(
                "offsets.topic.replication.factor=3 before the first group, otherwise reassign __consumer_offsets",
            ),
            _ => Diagnosis::new("offsets", Finding::Fine, text),
        });
    }
    if settings.get("auto.create.topics.enable").is_some_and(|value| value == "true") {
        let text = "other clients create topics by misspelling them; anybroker does not";
        found.push(
            Diagnosis::new("topic creation", Finding::Warning, text)
                .advice("auto.create.topics.enable=false on the brokers"),
        );
    }
    found
}

fn of_topic(cluster: &Cluster, topic: &Topic, broker: Option<&Settings>) -> Vec<Diagnosis> {
    let view = match cluster.topic(OPERATION, topic.as_str()) {
        Ok(Some(view)) => view,
        Ok(None) => return vec![failed("topic", &missing(OPERATION, topic))],
        Err(error) => return vec![failed("topic", &error)],
    };
    let mut found = vec![leaders(&view)];
    let settings = cluster.settings(OPERATION, topic.as_str());
    match &settings {
        Ok(settings) => found.extend(
            [replication(&view, settings), unclean(settings), kept(settings, broker)].into_iter().flatten(),
        ),
        Err(error) => found.push(unasked("topic settings", error)),
    }
    found.push(permission::to_consume(cluster, topic, &view));
    found.push(permission::to_publish(cluster, topic, settings.ok().as_ref()));
    found
}

fn failed(subject: &'static str, error: &Error) -> Diagnosis {
    Diagnosis::new(subject, Finding::Failure, error.to_string())
}

fn leaders(view: &TopicView) -> Diagnosis {
    let partitions = view.partitions.len();
    if !view.led {
        let text = format!("not every one of its {partitions} partitions has a leader");
        return Diagnosis::new("topic", Finding::Failure, text).advice("see which broker is away");
    }
    if view.in_sync < view.replicas {
        let text = format!("a partition has {} of {} replicas in sync", view.in_sync, view.replicas);
        return Diagnosis::new("topic", Finding::Warning, text).advice("see which broker is away or behind");
    }
    Diagnosis::new("topic", Finding::Fine, format!("{partitions} partitions, each led and in sync"))
}

/// A confirmed message survives as many deaths as there are copies but one.
fn replication(view: &TopicView, settings: &Settings) -> Option<Diagnosis> {
    let in_sync = number(settings, "min.insync.replicas")?;
    let text = format!("{} replica(s), min.insync.replicas={in_sync}", view.replicas);
    Some(match (view.replicas, in_sync) {
        (0 | 1, _) => Diagnosis::new("replication", Finding::Warning, text + ": one disk holds each message")
            .advice(
                "3 replicas and min.insync.replicas=2 (replication=3 in the URL when creating the topic)",
            ),
        (_, ..=1) => {
            Diagnosis::new("replication", Finding::Warning, text + ": one copy is enough for a confirmation")
                .advice("min.insync.replicas=2 on the topic")
        }
        _ => Diagnosis::new("replication", Finding::Fine, text),
    })
}

fn unclean(settings: &Settings) -> Option<Diagnosis> {
    let unclean = settings.get("unclean.leader.election.enable")? == "true";
    let text = "a replica that lags may become leader, and confirmed messages are lost";
    unclean.then(|| {
        Diagnosis::new("leader election", Finding::Warning, text)
            .advice("unclean.leader.election.enable=false on the topic")
    })
}

/// Whether messages, and what groups have read of them, outlive a group's absence.
fn kept(settings: &Settings, broker: Option<&Settings>) -> Option<Diagnosis> {
    if settings.get("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        let text = "the topic is compacted: a message can be removed for a later one of its key, unread";
        return Some(Diagnosis::new("retention", Finding::Warning, text).advice("cleanup.policy=delete"));
    }
    let forever = Duration::MAX;
    let messages = match number(settings, "retention.ms")? {
        ..0 => forever,
        milliseconds => Duration::from_millis(milliseconds.unsigned_abs()),
    };
    let offsets = broker.and_then(|broker| number(broker, "offsets.retention.minutes"));
    let offsets = offsets.map(|minutes| Duration::from_secs(minutes.unsigned_abs() * 60));
    let words = |time: Duration| match time {
        Duration::MAX => "for ever".to_owned(),
        time => format!("for {}", humantime::format_duration(time)),
    };
    let text = format!("messages are kept {}", words(messages));
    Some(match offsets {
        _ if messages < WEEKEND => {
            let text = text + ", read or not: a group that is stopped for longer loses some";
            Diagnosis::new("retention", Finding::Warning, text).advice("raise retention.ms on the topic")
        }
        Some(offsets) if offsets < messages => {
            let text = format!("{text}, and the offsets of a group without members {}", words(offsets));
            Diagnosis::new(
                "retention",
                Finding::Warning,
                text + ": after that it begins again at the earliest",
            )
            .advice("offsets.retention.minutes on the brokers as long as the topic's retention")
        }
        _ => Diagnosis::new("retention", Finding::Fine, text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn view(replicas: usize, in_sync: usize) -> TopicView {
        TopicView { partitions: vec![0], replicas, in_sync, led: true }
    }

    #[test]
    fn copies_are_counted_as_they_hold() {
        for (replicas, in_sync, expected) in
            [(1, "1", Finding::Warning), (3, "1", Finding::Warning), (3, "2", Finding::Fine)]
        {
            let found = replication(&view(replicas, 3), &settings(&[("min.insync.replicas", in_sync)]));
            assert_eq!(found.unwrap().finding, expected, "{replicas} {in_sync}");
        }
        assert_eq!(leaders(&view(3, 2)).finding, Finding::Warning);
        assert_eq!(leaders(&TopicView { led: false, ..view(3, 3) }).finding, Finding::Failure);
    }

    #[test]
    fn what_is_kept_outlives_a_weekend_and_so_do_offsets() {
        let days = |days: u64| (days * 24 * 60 * 60 * 1_000).to_string();
        let week = settings(&[("offsets.retention.minutes", "10080")]);
        for (retention, expected) in
            [(days(1), Finding::Warning), (days(7), Finding::Fine), ("-1".to_owned(), Finding::Warning)]
        {
            let found = kept(&settings(&[("retention.ms", &retention)]), Some(&week)).unwrap();
            assert_eq!(found.finding, expected, "{}", found.text);
        }
        let found = kept(&settings(&[("cleanup.policy", "compact"), ("retention.ms", "-1")]), None).unwrap();
        assert!(found.text.contains("compacted"), "{}", found.text);
    }
}
