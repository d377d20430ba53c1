//! What Kafka promises for a topic, probed where the protocol can tell.

use std::collections::HashMap;

use anybroker_core::{
    Acknowledgement, AfterFailure, Basis, Certainty, Confirmation, DeadLetter, Deduplication, Delay,
    DeliveryLevel, Durability, Error, Exclusivity, FanOut, Guarantees, Kept, Kind, Lease, Limits, Redelivery,
    Replay, Result, Row, Scope, Topic, Transactions, Unsubscribed,
};

use crate::cluster::{Cluster, TopicView};
use crate::record;

const DESIGN: &str = "https://kafka.apache.org/documentation/#semantics";
const REPLICATION: &str = "https://kafka.apache.org/documentation/#replication";
const TOPICS: &str = "https://kafka.apache.org/documentation/#topicconfigs";
const INTRODUCTION: &str = "https://kafka.apache.org/documentation/#intro_concepts_and_terms";
const CONSUMER: &str =
    "https://kafka.apache.org/40/javadoc/org/apache/kafka/clients/consumer/KafkaConsumer.html";
const LIBRDKAFKA: &str = "https://github.com/confluentinc/librdkafka/blob/master/INTRODUCTION.md";
const LIBRDKAFKA_CONFIG: &str = "https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md";
const TRANSACTIONS: &str = "https://kafka.apache.org/40/operations/transaction-protocol";
const ADAPTER: &str = "https://docs.rs/anybroker-kafka";

/// The default of `max.message.bytes` (<https://kafka.apache.org/documentation/#topicconfigs_max.message.bytes>).
pub(crate) const DEFAULT_MAX_MESSAGE_BYTES: usize = 1_048_588;

/// What is known of a topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    topic: Option<(TopicView, HashMap<String, String>)>,
}

impl Facts {
    /// Asks the cluster. Without a topic nothing about topics is known.
    ///
    /// # Errors
    /// `NotFound` if the topic does not exist; whatever asking fails with.
    pub(crate) fn ask(cluster: &Cluster, topic: Option<&Topic>) -> Result<Self> {
        let Some(topic) = topic else { return Ok(Facts::default()) };
        let view =
            cluster.topic("guarantees", topic.as_str())?.ok_or_else(|| missing("guarantees", topic))?;
        let settings = cluster.settings("guarantees", topic.as_str())?;
        Ok(Facts { topic: Some((view, settings)) })
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.topic.as_ref()?.1.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.setting(name)?.parse().ok()
    }

    /// The largest record batch that the topic takes.
    pub(crate) fn max_message_bytes(&self) -> Option<usize> {
        self.number("max.message.bytes").map(|bytes| bytes as usize)
    }
}

/// The error for a topic that is not there.
pub(crate) fn missing(operation: &'static str, topic: &Topic) -> Error {
    Error::new(Kind::NotFound, operation, "the topic does not exist")
        .on(format!("topic `{topic}`"))
        .advice(format!("create it: anybroker topics create URL {topic}, or topology=create in the URL"))
}

/// What was asked, for the texts of refusals.
pub(crate) fn place(cluster: &Cluster, topic: &Topic) -> String {
    format!("kafka topic `{topic}` at {}", cluster.config.brokers.join(","))
}

/// What the cluster promises for a topic.
///
/// # Errors
/// As [`Facts::ask`].
pub(crate) fn probe(cluster: &Cluster, topic: Option<&Topic>) -> Result<Guarantees> {
    Ok(of(&Facts::ask(cluster, topic)?))
}

/// The rows that follow from the facts.
pub(crate) fn of(facts: &Facts) -> Guarantees {
    Guarantees {
        backend: "kafka",
        // librdkafka does not tell it: it negotiates versions request by request.
        version: None,
        ordering: Row::new(Scope::Key, Basis::Documented, INTRODUCTION).because(
            "a key always goes to one partition (murmur2) while the number of partitions stays; the producer is \
             idempotent with at most 5 requests in flight; after a negative acknowledgement other keys of the \
             partition go on, so that only the key's order is kept",
        ),
        order_after_redelivery: Row::new(Kept::Yes, Basis::Client, ADAPTER).because(
            "a failed message is delivered again from the client's copy before later ones of its key; after a \
             rebalance the partition is read again from the first message that is not done",
        ),
        order_across_consumers: Row::new(Kept::Yes, Basis::Documented, CONSUMER)
            .because("a partition is assigned to one member of a group at a time, and drained before it moves"),
        order_after_member_death: Row::new(Kept::Yes, Basis::Documented, CONSUMER)
            .because("the next owner of a partition reads on in order from the committed offset"),
        order_after_failed_publish: Row::new(AfterFailure::Held, Basis::Client, ADAPTER).because(
            "with OnFailure::HoldKey; messages that the client had taken before the failure was known may be stored",
        ),
        delivery: delivery(facts),
        unsubscribed_publish: unsubscribed(facts),
        publish_confirmation: Row::new(Confirmation::Confirmed, Basis::Client, LIBRDKAFKA)
            .because("acks=all, and a delivery report for every message"),
        durability_on_confirm: durability(facts),
        acknowledgement: Row::new(Acknowledgement::Cumulative, Basis::Documented, CONSUMER)
            .because("a commit is one offset for each partition; what is done behind a gap is known to the client"),
        settlement: Row::new(Certainty::Recorded, Basis::Client, ADAPTER)
            .because(
                "commits go out every commit_interval; `flush` waits for the broker's answer. A session that loses a \
                 partition and gets it back before another member had it delivers nothing again that it acknowledged",
            ),
        redelivery: Row::new(Redelivery::Unmarked, Basis::Client, ADAPTER).because(
            "Kafka counts nothing. The client counts within a session, and carries the count of a partition's first \
             unfinished message over in the commit, also when a process dies; other messages that a dead member had \
             held come with a fresh count",
        ),
        exclusivity: Row::new(Exclusivity::Fenced, Basis::Documented, CONSUMER).because(
            "a member that lost a partition without noticing goes on handling what it holds, and cannot commit",
        ),
        deduplication: Row::new(Deduplication::ProducerSession, Basis::Client, DESIGN)
            .because("an idempotent producer's own resends are stored once; a second publish is a new message"),
        dead_letter: Row::new(DeadLetter::AtLeastOnce, Basis::Client, ADAPTER)
            .because("the envelope is confirmed before the original is settled"),
        fan_out: Row::new(FanOut::Groups, Basis::Documented, CONSUMER),
        replay: Row::new(Replay::Earliest, Basis::Documented, CONSUMER)
            .because("Start::Earliest moves the whole group back, as far as retention keeps messages"),
        lease: Row::new(Lease::Session, Basis::Client, LIBRDKAFKA_CONFIG)
            .because("heartbeats and polling go on in the background while the application works"),
        delay: Row::new(Delay::Redelivery, Basis::Client, ADAPTER)
            .because("kept by the client; ends early if the partition moves"),
        transactions: transactions(facts),
        limits: Limits {
            message_bytes: facts.max_message_bytes().map(record::largest),
            batch: None,
            in_flight: None,
            deduplication_window: None,
            lease: None,
        },
    }
}

/// What would tell where a topic decides.
const NAME_IT: &str = "ask about a topic that may be described: --topic TOPIC";

fn delivery(facts: &Facts) -> Row<DeliveryLevel> {
    let Some(policy) = facts.setting("cleanup.policy") else {
        return Row::unknown(TOPICS).because("the topic's cleanup.policy is not known").raise(NAME_IT);
    };
    if policy.contains("compact") {
        return Row::new(DeliveryLevel::AtMostOnce, Basis::Probed, TOPICS)
            .because("the topic is compacted: a message can be removed for a later one of its key before a group reads it")
            .raise("cleanup.policy=delete on the topic");
    }
    let keeps = |name: &str| facts.setting(name).unwrap_or("unknown").to_owned();
    Row::new(DeliveryLevel::AtLeastOnce, Basis::Probed, DESIGN).because(format!(
        "offsets are committed after processing, the lowest unfinished one, from which another member goes on; for \
         groups that keep up with retention (retention.ms={}, retention.bytes={})",
        keeps("retention.ms"),
        keeps("retention.bytes"),
    ))
}

fn unsubscribed(facts: &Facts) -> Row<Unsubscribed> {
    if facts.topic.is_none() {
        return Row::unknown(TOPICS).because("no topic was asked about").raise(NAME_IT);
    }
    Row::new(Unsubscribed::Kept, Basis::Probed, TOPICS)
        .because("the log keeps it for its retention, and a new group starts with the earliest message")
}

/// All of a transaction or nothing, for whoever reads what is committed; where a partition has one replica, not through every crash.
fn transactions(facts: &Facts) -> Row<Transactions> {
    let row = |single: &str| {
        Row::new(Transactions::ReadProcessWrite, Basis::Documented, TRANSACTIONS).because(format!(
            "between topics and groups of one cluster, for consumers with isolation.level=read_committed, as this \
             adapter's are. librdkafka 2.12 does not speak KIP-890's protocol (TV2), which clients of Kafka 4.0 speak \
             with brokers from 4.0 on: with any broker, a request that is delayed until its transaction has ended may \
             become part of the next one of the same id, or end it{single}"
        ))
    };
    match &facts.topic {
        Some((view, _)) if view.replicas < 2 => row(
            ". With one replica, a broker that is killed within milliseconds of a commit's answer may come back without \
             having ended the transaction: its messages stay unseen and what it acknowledged pending, until the next \
             transaction of the same id there decides for them too (met on 4.4.0)",
        )
        .raise("topics with 2 replicas or more, also for __consumer_offsets (offsets.topic.replication.factor)"),
        _ => row(""),
    }
}

/// A confirmed message is on every in-sync replica, of which there are at least `min.insync.replicas`; whether it is
/// on their disks depends on `flush.messages`.
fn durability(facts: &Facts) -> Row<Durability> {
    let known = facts.topic.as_ref().zip(facts.number("min.insync.replicas"));
    let Some(((view, _), in_sync)) = known else {
        return Row::unknown(REPLICATION).because("the topic's replication is not known").raise(NAME_IT);
    };
    let unclean = facts.setting("unclean.leader.election.enable") != Some("false");
    let flushed = facts.number("flush.messages") == Some(1);
    let copies = in_sync.min(view.replicas as u64);
    let value = match (copies, flushed) {
        (2.., true) => Durability::ReplicatedFsync,
        (2.., false) => Durability::Replicated,
        (_, _) if view.replicas > 1 && unclean => Durability::Memory,
        (_, true) => Durability::Fsync,
        (_, false) => Durability::PageCache,
    };
    let row = Row::new(value, Basis::Probed, REPLICATION).because(format!(
        "{} replicas, min.insync.replicas={in_sync}, unclean.leader.election.enable={unclean}, flush.messages{}1",
        view.replicas,
        if flushed { "=" } else { ">" },
    ));
    match copies {
        2.. if flushed => row,
        2.. => row.raise("flush.messages=1 on the topic, at the cost of one fsync a write"),
        _ => row.raise(
            "a topic with 3 replicas and min.insync.replicas=2 (replication=3 in the URL when creating it)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(replicas: usize, settings: &[(&str, &str)]) -> Facts {
        let view = TopicView { partitions: vec![0], replicas, in_sync: replicas, led: true };
        let mut all: HashMap<String, String> =
            [("cleanup.policy", "delete"), ("unclean.leader.election.enable", "false")]
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .into();
        all.extend(settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        Facts { topic: Some((view, all)) }
    }

    #[test]
    fn durability_is_what_the_fewest_copies_give() {
        for (replicas, in_sync, unclean, flush, expected) in [
            (1, "1", "false", "9", Durability::PageCache),
            (1, "2", "true", "9", Durability::PageCache),
            (1, "1", "false", "1", Durability::Fsync),
            (3, "1", "false", "9", Durability::PageCache),
            (3, "1", "true", "9", Durability::Memory),
            (3, "2", "true", "9", Durability::Replicated),
            (3, "2", "false", "1", Durability::ReplicatedFsync),
        ] {
            let facts = facts(
                replicas,
                &[
                    ("min.insync.replicas", in_sync),
                    ("unclean.leader.election.enable", unclean),
                    ("flush.messages", flush),
                ],
            );
            assert_eq!(durability(&facts).value, expected, "{replicas} {in_sync} {unclean} {flush}");
        }
    }

    #[test]
    fn what_was_not_asked_is_unknown() {
        let given = of(&Facts::default());
        assert_eq!(given.durability_on_confirm.basis, Basis::Unknown);
        assert_eq!(given.delivery.basis, Basis::Unknown);
        assert_eq!(given.limits.message_bytes, None);
    }

    #[test]
    fn a_compacted_topic_does_not_deliver_everything() {
        let given = of(&facts(1, &[("cleanup.policy", "compact,delete")]));
        assert_eq!(given.delivery.value, DeliveryLevel::AtMostOnce);
    }

    #[test]
    fn what_one_replica_risks_is_said_where_there_is_one() {
        for (replicas, said) in [(1, true), (2, false), (3, false)] {
            let row = transactions(&facts(replicas, &[]));
            assert_eq!(row.value, Transactions::ReadProcessWrite);
            assert_eq!(
                (row.because.contains("one replica"), row.raise.is_some()),
                (said, said),
                "{replicas}"
            );
        }
    }
}
