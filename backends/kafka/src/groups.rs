//! Consumer groups as the broker knows them. All of it blocks, within a deadline.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anybroker_core::{Error, Group, Kind, Result, Topic};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::groups::GroupMemberInfo;
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{Cluster, TopicView};
use crate::error;
use crate::guarantees::missing;

/// A client that reads and writes a group's offsets without joining it.
pub(crate) fn outsider(cluster: &Cluster, operation: &'static str, group: &str) -> Result<BaseConsumer> {
    let mut config = cluster.config.base();
    config.set("group.id", group).set("enable.auto.commit", "false");
    config.create().map_err(|e| error::of(operation, e))
}

/// The group's committed offsets in a topic.
///
/// # Errors
/// Whatever asking fails with.
pub(crate) fn committed(
    cluster: &Cluster,
    operation: &'static str,
    client: &BaseConsumer,
    topic: &Topic,
    view: &TopicView,
) -> Result<HashMap<u32, u64>> {
    let mut list = TopicPartitionList::new();
    for partition in &view.partitions {
        list.add_partition(topic.as_str(), *partition as i32);
    }
    let answer = client.committed_offsets(list, cluster.config.request_timeout);
    let answer = answer.map_err(|e| error::of(operation, e))?;
    let mut offsets = HashMap::new();
    for element in answer.elements() {
        element.error().map_err(|e| error::of(operation, e))?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(element.partition().max(0) as u32, offset.max(0) as u64);
        }
    }
    Ok(offsets)
}

/// Makes a group known to the broker: where it has no offset yet, it starts with the earliest message. Says whether
/// the broker knows it now: while the group has members, for whatever topic, only they can commit.
///
/// # Errors
/// Whatever committing fails with, once the group's coordinator has had the time of a request to come up.
pub(crate) fn declare(cluster: &Cluster, topic: &Topic, view: &TopicView, group: &Group) -> Result<bool> {
    let client = outsider(cluster, "declare", group.as_str())?;
    let until = Instant::now() + cluster.config.request_timeout;
    loop {
        let error = match commit_missing(cluster, &client, topic, view) {
            Ok(true) => return Ok(true),
            // Read back before it counts: a coordinator that is coming up has answered and forgotten.
            Ok(false) if Instant::now() < until => continue,
            Ok(false) => Error::new(Kind::TimedOut, "declare", "the group's offsets do not stay committed"),
            Err(error) if error.kind() == Kind::Fenced && has_members(cluster, "declare", group)? => {
                return Ok(false);
            }
            Err(error) if error.kind() == Kind::Fenced || error.is_retryable() => error,
            Err(error) => return Err(error.on(format!("group `{group}`"))),
        };
        if Instant::now() >= until {
            return Err(error.on(format!("group `{group}`")));
        }
        std::thread::sleep(COORDINATOR);
    }
}

/// How long to wait before a group's coordinator is asked again.
const COORDINATOR: Duration = Duration::from_millis(50);

/// Commits the earliest offset where there is none; says whether there was nothing to do.
fn commit_missing(cluster: &Cluster, client: &BaseConsumer, topic: &Topic, view: &TopicView) -> Result<bool> {
    let operation = "declare";
    let there = committed(cluster, operation, client, topic, view)?;
    let mut list = TopicPartitionList::new();
    for partition in view.partitions.iter().filter(|partition| !there.contains_key(partition)) {
        let (low, _) = cluster.watermarks(operation, topic.as_str(), *partition)?;
        list.add_partition_offset(topic.as_str(), *partition as i32, Offset::Offset(low as i64))
            .map_err(|e| error::of(operation, e))?;
    }
    if list.count() == 0 {
        return Ok(true);
    }
    client.commit(&list, CommitMode::Sync).map_err(|e| error::of(operation, e))?;
    Ok(false)
}

/// How many offsets lie between what the group has committed and the end of the topic. A group that is `declared` is
/// there even if the broker has never heard of it.
///
/// # Errors
/// `NotFound` for the topic or the group.
pub(crate) fn backlog(cluster: &Cluster, topic: &Topic, group: &Group, declared: bool) -> Result<u64> {
    let operation = "backlog";
    let view = cluster.topic(operation, topic.as_str())?.ok_or_else(|| missing(operation, topic))?;
    let client = outsider(cluster, operation, group.as_str())?;
    let committed = committed(cluster, operation, &client, topic, &view)?;
    if committed.is_empty() && !declared && !has_members(cluster, operation, group)? {
        let text = "the group has neither members nor committed offsets in this topic";
        return Err(Error::new(Kind::NotFound, operation, text)
            .on(format!("group `{group}`, topic `{topic}`"))
            .advice("a group comes into being when a consumer joins it, or by `declare`"));
    }
    let mut backlog = 0;
    for partition in &view.partitions {
        let (low, high) = cluster.watermarks(operation, topic.as_str(), *partition)?;
        let done = committed.get(partition).copied().unwrap_or(low).max(low);
        backlog += high.saturating_sub(done);
    }
    Ok(backlog)
}

fn has_members(cluster: &Cluster, operation: &'static str, group: &Group) -> Result<bool> {
    let timeout = cluster.config.request_timeout;
    let list = cluster
        .client
        .fetch_group_list(Some(group.as_str()), timeout)
        .map_err(|e| error::of(operation, e))?;
    Ok(list.groups().iter().any(|g| g.name() == group.as_str() && !g.members().is_empty()))
}

/// The groups whose members have partitions of each topic. Groups without members are not told by the protocol.
///
/// # Errors
/// Whatever asking fails with.
pub(crate) fn by_topic(cluster: &Cluster, timeout: Duration) -> Result<HashMap<String, Vec<String>>> {
    let list = cluster.client.fetch_group_list(None, timeout).map_err(|e| error::of("topics list", e))?;
    let mut groups: HashMap<String, Vec<String>> = HashMap::new();
    for group in list.groups() {
        for topic in group.members().iter().flat_map(assigned_topics) {
            let names = groups.entry(topic).or_default();
            if !names.iter().any(|name| name == group.name()) {
                names.push(group.name().to_owned());
            }
        }
    }
    groups.values_mut().for_each(|names| names.sort());
    Ok(groups)
}

pub(crate) fn assigned_topics(member: &GroupMemberInfo) -> Vec<String> {
    member.assignment().and_then(topics_of).unwrap_or_default()
}

/// The topics in a member's assignment: version, then for each topic its name and its partitions
/// (<https://kafka.apache.org/protocol.html>, `ConsumerProtocolAssignment`).
fn topics_of(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut take = |count: usize| {
        let (taken, rest) = bytes.split_at_checked(count)?;
        bytes = rest;
        Some(taken)
    };
    take(2)?;
    let topics = i32::from_be_bytes(take(4)?.try_into().ok()?);
    let mut names = Vec::new();
    for _ in 0..topics {
        let length = i16::from_be_bytes(take(2)?.try_into().ok()?);
        names.push(String::from_utf8(take(usize::try_from(length).ok()?)?.to_vec()).ok()?);
        let partitions = i32::from_be_bytes(take(4)?.try_into().ok()?);
        take(usize::try_from(partitions).ok()?.checked_mul(4)?)?;
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_names_its_topics() {
        let mut bytes = vec![0, 1, 0, 0, 0, 2];
        for (name, partitions) in [("ab", 1u8), ("c", 2)] {
            bytes.extend([0, name.len() as u8]);
            bytes.extend(name.as_bytes());
            bytes.extend([0, 0, 0, partitions]);
            bytes.extend(vec![0; 4 * partitions as usize]);
        }
        bytes.extend([0xff; 4]);
        assert_eq!(topics_of(&bytes), Some(vec!["ab".to_owned(), "c".to_owned()]));
        assert_eq!(topics_of(&bytes[..9]), None);
    }
}
