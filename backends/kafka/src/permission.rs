//! What the user may do to a topic, found out without doing it. rdkafka does not ask for authorized operations, so each
//! is tried in a way that changes nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anybroker_core::{Diagnosis, Error, Finding, Kind, Result, Topic};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

use crate::blocking::wait;
use crate::cluster::{Cluster, TopicView};
use crate::error;

const CONSUME: &str = "permission to consume";
const PUBLISH: &str = "permission to publish";
const OPERATION: &str = "diagnose";

/// Reads at the end of a partition, outside any group: the broker answers that there is nothing, or that it is not allowed.
pub(crate) fn to_consume(cluster: &Cluster, topic: &Topic, view: &TopicView) -> Diagnosis {
    let partition = view.partitions.first().copied().unwrap_or(0);
    match read_at_end(cluster, topic, partition) {
        Ok(()) => Diagnosis::new(CONSUME, Finding::Fine, "reading the topic is permitted"),
        Err(error) => refused(CONSUME, &error, "allow Read on the topic, and on the group, to this user"),
    }
}

fn refused(subject: &'static str, error: &Error, advice: &str) -> Diagnosis {
    match error.kind() {
        Kind::PermissionDenied => {
            Diagnosis::new(subject, Finding::Failure, "the broker does not permit it").advice(advice)
        }
        _ => Diagnosis::new(subject, Finding::Unknown, error.to_string()),
    }
}

fn read_at_end(cluster: &Cluster, topic: &Topic, partition: u32) -> Result<()> {
    let of = |e| error::of(OPERATION, e);
    let mut config = cluster.config.base();
    config.set("group.id", "anybroker-doctor").set("enable.auto.commit", "false");
    config.set("enable.partition.eof", "true").set_log_level(RDKafkaLogLevel::Emerg);
    let client: BaseConsumer = config.create().map_err(of)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic.as_str(), partition as i32, Offset::End).map_err(of)?;
    client.assign(&list).map_err(of)?;
    let until = Instant::now() + cluster.config.request_timeout;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match client.poll(left) {
            None if left.is_zero() => return Err(late()),
            None => {}
            Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) => match of(error) {
                error if error.is_retryable() => {}
                error => return Err(error),
            },
        }
    }
}

fn late() -> Error {
    Error::new(Kind::TimedOut, OPERATION, "the broker did not say in time")
}

/// How far ahead a record is dated that no topic with a bound takes.
const AHEAD: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Sends a record dated a year ahead: the broker first looks at the permission, then refuses the date. Not tried
/// where the topic would take it.
pub(crate) fn to_publish(
    cluster: &Cluster,
    topic: &Topic,
    settings: Option<&HashMap<String, String>>,
) -> Diagnosis {
    if !settings.is_some_and(refuses_the_future) {
        let text = "it shows only by publishing: the topic takes records of any date";
        return Diagnosis::new(PUBLISH, Finding::Unknown, text)
            .advice("--round-trip publishes to a topic of its own");
    }
    match send_ahead(cluster, topic) {
        Err(KafkaError::MessageProduction(RDKafkaErrorCode::InvalidTimestamp)) => {
            Diagnosis::new(PUBLISH, Finding::Fine, "publishing to the topic is permitted")
        }
        Err(error) => refused(PUBLISH, &error::of(OPERATION, error), "allow Write on the topic to this user"),
        Ok(()) => {
            let text = "the topic took a record dated a year ahead, against its own settings";
            Diagnosis::new(PUBLISH, Finding::Warning, text).advice("see message.timestamp.after.max.ms")
        }
    }
}

fn refuses_the_future(settings: &HashMap<String, String>) -> bool {
    let bound = settings.get("message.timestamp.after.max.ms").and_then(|value| value.parse::<u64>().ok());
    settings.get("message.timestamp.type").is_some_and(|value| value == "CreateTime")
        && bound.is_some_and(|bound| bound < AHEAD.as_millis() as u64 / 2)
}

fn send_ahead(cluster: &Cluster, topic: &Topic) -> Result<(), KafkaError> {
    let timeout = cluster.config.request_timeout;
    let mut config = cluster.config.base();
    config.set("acks", "all").set("retries", "0").set("message.timeout.ms", timeout.as_millis().to_string());
    let producer: FutureProducer = config.set_log_level(RDKafkaLogLevel::Emerg).create()?;
    let date = SystemTime::now() + AHEAD;
    let date = date.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let record = FutureRecord::<(), [u8]>::to(topic.as_str()).payload(b"").timestamp(date);
    match wait(timeout, producer.send(record, Duration::ZERO)) {
        None => Err(KafkaError::MessageProduction(RDKafkaErrorCode::RequestTimedOut)),
        Some(sent) => sent.map(|_| ()).map_err(|(error, _)| error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_that_a_topic_might_take() {
        let year = AHEAD.as_millis().to_string();
        for (kind, bound, expected) in [
            ("CreateTime", "3600000", true),
            ("LogAppendTime", "3600000", false),
            ("CreateTime", "9223372036854775807", false),
            ("CreateTime", year.as_str(), false),
        ] {
            let settings = [("message.timestamp.type", kind), ("message.timestamp.after.max.ms", bound)];
            let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            assert_eq!(refuses_the_future(&settings), expected, "{kind} {bound}");
        }
        assert!(!refuses_the_future(&HashMap::new()));
    }
}
