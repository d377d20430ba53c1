//! How far every group of a topic is. The broker keeps offsets by group and does not list them by topic, so each group
//! of the cluster is asked for its offsets in this one. All of it blocks, within a deadline.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::Instant;

use anybroker_core::{Error, Group, GroupInfo, Kind, PartitionLag, Result, Topic};
use rdkafka::consumer::Consumer;
use rdkafka::groups;

use crate::cluster::{Cluster, TopicView};
use crate::error;
use crate::groups::{assigned_topics, committed, outsider};
use crate::guarantees::missing;

const OPERATION: &str = "groups";
/// How many groups are asked at the same time: each needs a client of its own.
const AT_ONCE: usize = 8;

/// A group of the cluster, before it is known whether it is one of the topic.
struct Candidate {
    name: String,
    /// None if the broker does not describe it to this client.
    members: Option<u32>,
    /// Some member has partitions of the topic, or the group was declared.
    certain: bool,
}

/// A topic's end: of each partition the first offset and the one after the last.
type Ends = BTreeMap<u32, (u64, u64)>;

/// The groups that have offsets or members in the topic.
///
/// # Errors
/// `NotFound` for the topic; `TimedOut` if the cluster has more groups than can be asked in time; whatever asking
/// fails with.
pub(crate) fn groups(cluster: &Cluster, topic: &Topic, declared: Vec<Group>) -> Result<Vec<GroupInfo>> {
    let until = Instant::now() + cluster.config.request_timeout * 2;
    let view = cluster.topic(OPERATION, topic.as_str())?.ok_or_else(|| missing(OPERATION, topic))?;
    let mut ends = Ends::new();
    for partition in &view.partitions {
        ends.insert(*partition, cluster.watermarks(OPERATION, topic.as_str(), *partition)?);
    }
    let candidates = candidates(cluster, topic, declared)?;
    let share = candidates.len().div_ceil(AT_ONCE).max(1);
    let (view, ends) = (&view, &ends);
    let asked: Vec<Result<Vec<GroupInfo>>> = thread::scope(|scope| {
        let ask = |chunk| scope.spawn(move || of_candidates(cluster, topic, view, ends, chunk, until));
        let threads: Vec<_> = candidates.chunks(share).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect()
    });
    let mut infos = Vec::new();
    for some in asked {
        infos.extend(some?);
    }
    infos.sort_by(|a, b| a.group.cmp(&b.group));
    Ok(infos)
}

fn panicked() -> Error {
    Error::new(Kind::Unexpected, OPERATION, "a thread of the adapter panicked")
}

/// All groups of the cluster, those without members too.
fn candidates(cluster: &Cluster, topic: &Topic, declared: Vec<Group>) -> Result<Vec<Candidate>> {
    let list = cluster.client.fetch_group_list(None, cluster.config.request_timeout);
    let list = list.map_err(|e| error::of(OPERATION, e))?;
    let consumers = list.groups().iter().filter(|group| matches!(group.protocol_type(), "consumer" | ""));
    let mut candidates: Vec<_> = consumers.map(|group| candidate(group, topic)).collect();
    for group in declared {
        match candidates.iter_mut().find(|candidate| candidate.name == group.as_str()) {
            Some(candidate) => candidate.certain = true,
            None => candidates.push(Candidate { name: group.to_string(), members: None, certain: true }),
        }
    }
    Ok(candidates)
}

fn candidate(group: &groups::GroupInfo, topic: &Topic) -> Candidate {
    let names_it = |member| assigned_topics(member).iter().any(|name| name == topic.as_str());
    // What the broker does not describe by the classic protocol's request, it calls dead.
    let described = group.state() != "Dead" && !group.state().is_empty();
    Candidate {
        name: group.name().to_owned(),
        members: described.then_some(group.members().len() as u32),
        certain: group.members().iter().any(names_it),
    }
}

fn of_candidates(
    cluster: &Cluster,
    topic: &Topic,
    view: &TopicView,
    ends: &Ends,
    candidates: &[Candidate],
    until: Instant,
) -> Result<Vec<GroupInfo>> {
    let mut infos = Vec::new();
    for candidate in candidates {
        if Instant::now() >= until {
            let text = "the cluster has more groups than could be asked for their offsets in time";
            let advice = "name the group instead, or raise request_timeout= in the URL";
            return Err(Error::new(Kind::TimedOut, OPERATION, text).advice(advice));
        }
        infos.extend(of_candidate(cluster, topic, view, ends, candidate)?);
    }
    Ok(infos)
}

/// The group's progress; none if it has nothing to do with the topic.
fn of_candidate(
    cluster: &Cluster,
    topic: &Topic,
    view: &TopicView,
    ends: &Ends,
    candidate: &Candidate,
) -> Result<Option<GroupInfo>> {
    let group = &candidate.name;
    let client = outsider(cluster, OPERATION, group)?;
    let offsets = match committed(cluster, OPERATION, &client, topic, view) {
        Ok(offsets) => offsets,
        // A group of other people's.
        Err(error) if error.kind() == Kind::PermissionDenied && !candidate.certain => return Ok(None),
        Err(error) => return Err(error.on(format!("group `{group}`"))),
    };
    if offsets.is_empty() && !candidate.certain {
        return Ok(None);
    }
    let partitions = lag(ends, &offsets);
    Ok(Some(GroupInfo { group: group.clone(), members: candidate.members, partitions }))
}

/// What lies between the committed offset and the end; a partition without one is read from its beginning.
fn lag(ends: &Ends, committed: &HashMap<u32, u64>) -> Vec<PartitionLag> {
    let lag = |(partition, (low, high)): (&u32, &(u64, u64))| {
        let done = committed.get(partition).copied().unwrap_or(*low).max(*low);
        PartitionLag { partition: *partition, backlog: high.saturating_sub(done) }
    };
    ends.iter().map(lag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_is_kept_and_not_committed() {
        let ends = Ends::from([(0, (0, 10)), (1, (5, 10)), (2, (5, 10)), (3, (0, 0))]);
        let committed = HashMap::from([(0, 4), (1, 2)]);
        let backlogs: Vec<_> = lag(&ends, &committed).iter().map(|p| p.backlog).collect();
        assert_eq!(backlogs, [6, 5, 5, 0]);
    }
}
