//! What a topic, its partitions and its groups are called on the server.
//!
//! A topic's messages have the subjects `<topic>.<partition>`; what is published to `<topic>` itself, by programs that
//! know nothing of partitions, is stored as the first partition's. Names of streams, consumers and keys cannot have
//! dots: `=` stands for each.

use anybroker_core::kit::crc32;
use anybroker_core::{Error, Group, Kind, Message, MessageId, Result, Topic};

/// The bucket that tells who is a member of which group, and who has which partition.
pub(crate) const BUCKET: &str = "anybroker_members";

/// The names of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) topic: Topic,
    /// The stream.
    pub(crate) stream: String,
}

impl Names {
    /// Refuses names that are no subject.
    pub(crate) fn new(topic: &Topic) -> Result<Self> {
        if topic.as_str().split('.').any(str::is_empty) || topic.as_str().starts_with("_INBOX") {
            let text = format!("`{topic}` cannot be a subject of NATS");
            let advice = "write something before, between and after dots, and do not begin with _INBOX";
            return Err(Error::new(Kind::InvalidConfiguration, "open", text).advice(advice));
        }
        Ok(Names { topic: topic.clone(), stream: without_dots(topic.as_str()) })
    }

    /// The subject of one partition.
    pub(crate) fn subject(&self, partition: u32) -> String {
        format!("{}.{partition}", self.topic)
    }

    /// Whether a subject is one of the topic's.
    pub(crate) fn is_subject(&self, subject: &str) -> bool {
        let rest = subject.strip_prefix(self.topic.as_str());
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix('.').is_some_and(|n| n.parse::<u32>().is_ok())
        })
    }

    /// Every subject of the stream.
    pub(crate) fn subjects(&self, partitions: u32) -> Vec<String> {
        std::iter::once(self.topic.to_string()).chain((0..partitions).map(|p| self.subject(p))).collect()
    }

    /// How many partitions a stream with these subjects has; none if they are not a topic's.
    pub(crate) fn partitions(&self, subjects: &[String]) -> Option<u32> {
        let count = u32::try_from(subjects.len()).ok()?.checked_sub(1).filter(|count| *count > 0)?;
        let expected = self.subjects(count);
        (expected.iter().all(|subject| subjects.contains(subject))).then_some(count)
    }

    /// The key of a group in the bucket: what its members' keys begin with.
    pub(crate) fn members(&self, group: &Group) -> String {
        format!("$KV.{BUCKET}.{}.{}", self.stream, without_dots(group.as_str()))
    }

    /// What all keys of the topic in the bucket look like.
    pub(crate) fn all_members(&self) -> String {
        format!("$KV.{BUCKET}.{}.>", self.stream)
    }
}

/// The topic that a stream of this name belongs to.
pub(crate) fn topic_of(stream: &str) -> Option<Topic> {
    Topic::new(stream.replace('=', ".")).ok()
}

/// The consumer of one partition of a group.
pub(crate) fn consumer(group: &Group, partition: u32) -> String {
    format!("{}@{partition}", without_dots(group.as_str()))
}

/// Which group and partition a consumer is of.
pub(crate) fn group_of(consumer: &str) -> Option<(Group, u32)> {
    let (group, partition) = consumer.rsplit_once('@')?;
    Some((Group::new(group.replace('=', ".")).ok()?, partition.parse().ok()?))
}

fn without_dots(name: &str) -> String {
    name.replace('.', "=")
}

/// The partition of a message: that of its key; a message without a key goes by its id, so that such messages spread out.
pub(crate) fn partition(message: &Message, partitions: u32) -> u32 {
    let hash = match (&message.key, &message.id) {
        (Some(key), _) => crc32(key.as_bytes()),
        (None, MessageId::Uuid(id)) => crc32(id.as_bytes()),
        (None, MessageId::Text(id)) => crc32(id.as_bytes()),
    };
    hash % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(topic: &str) -> Names {
        Names::new(&topic.parse().unwrap()).unwrap()
    }

    #[test]
    fn dots_are_kept_in_subjects_and_nowhere_else() {
        let names = names("orders.eu");
        assert_eq!(names.stream, "orders=eu");
        assert_eq!(names.subjects(2), ["orders.eu", "orders.eu.0", "orders.eu.1"]);
        let group: Group = "billing.v2".parse().unwrap();
        assert_eq!(consumer(&group, 3), "billing=v2@3");
        assert_eq!(group_of("billing=v2@3"), Some((group, 3)));
        assert_eq!(topic_of("orders=eu"), Some("orders.eu".parse().unwrap()));
    }

    #[test]
    fn partitions_are_read_from_the_subjects() {
        let names = names("t");
        assert_eq!(names.partitions(&names.subjects(6)), Some(6));
        for other in [&["t".to_owned()][..], &["t".to_owned(), "t.>".to_owned()], &["u".to_owned()]] {
            assert_eq!(names.partitions(other), None);
        }
    }

    #[test]
    fn a_longer_name_is_another_topics() {
        let names = names("orders");
        assert!(names.is_subject("orders") && names.is_subject("orders.12"));
        for other in ["order", "orders2", "orders.eu", "orders.eu.1", "orders."] {
            assert!(!names.is_subject(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        for name in ["a..b", ".a", "a.", "_INBOX.x"] {
            assert!(Names::new(&name.parse().unwrap()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_key_keeps_its_partition_for_ever() {
        // As Python's `zlib.crc32(key) % 4` gives them: other programs compute the same.
        let of = |key: &str| partition(&Message::new("").with_key(key), 4);
        assert_eq!(["", "order-7", "a"].map(of), [0, 2, 3]);
    }
}
