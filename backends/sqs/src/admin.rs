//! Topics and groups.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anybroker_core::kit::within;
use anybroker_core::{
    Admin, Diagnosis, Error, Group, GroupInfo, Kind, PartitionLag, Result, Topic, TopicInfo, Topology,
    TopologyMode, async_trait,
};

use crate::backend::Sqs;
use crate::diagnosis;
use crate::error::typed;
use crate::names;
use crate::topology::{Keeper, Queue};

/// How many queues a page lists.
const PAGE: i32 = 1_000;

#[async_trait]
impl Admin for Sqs {
    async fn declare(&self, topology: &Topology) -> Result<()> {
        if let Some(partitions) = topology.partitions {
            let text = format!(
                "{partitions} partitions are asked for, and a queue has none: every key keeps its own order"
            );
            return Err(
                Error::new(Kind::InvalidConfiguration, "declare", text).advice("leave the partitions out")
            );
        }
        let keeper = Keeper::new(self, "declare").mode(TopologyMode::Create);
        if self.config.groups.is_empty() && topology.groups.len() > 1 {
            let names: Vec<_> = topology.groups.iter().map(Group::as_str).collect();
            let text = format!("{} groups are asked for, and a queue has one", names.len());
            return Err(Error::new(Kind::InvalidConfiguration, "declare", text).advice(format!(
                "give each a queue of its own that publishers send to: fan_out=publisher&groups={}",
                names.join(",")
            )));
        }
        for group in &topology.groups {
            keeper.listed(group)?;
        }
        keeper.topic(&topology.topic).await?;
        for group in &topology.groups {
            keeper.group(&topology.topic, group).await?;
        }
        Ok(())
    }

    async fn delete(&self, topic: &Topic) -> Result<()> {
        for queue in self.existing("delete", topic).await? {
            let deleted = self.cloud.client.delete_queue().queue_url(&queue.url).send().await;
            deleted.map_err(|e| typed("delete", e).on(format!("queue `{}`", queue.name())))?;
        }
        Ok(())
    }

    async fn purge(&self, topic: &Topic) -> Result<()> {
        for queue in self.existing("purge", topic).await? {
            let purged = self.cloud.client.purge_queue().queue_url(&queue.url).send().await;
            purged.map_err(|e| typed("purge", e).on(format!("queue `{}`", queue.name())))?;
        }
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        let fan_out = !self.config.groups.is_empty();
        let mut topics: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut queues = self.list("topics", &self.config.prefix).await?;
        queues.sort_unstable_by(|a, b| a.url.cmp(&b.url));
        for queue in queues {
            let Some((topic, group)) = names::read(&self.config.prefix, queue.name()) else { continue };
            if group.is_some() == fan_out {
                topics.entry(topic.to_string()).or_default().extend(group.map(|group| group.to_string()));
            }
        }
        Ok(topics.into_iter().map(|(topic, groups)| TopicInfo { topic, partitions: None, groups }).collect())
    }

    /// Messages that wait and those that consumers hold. SQS counts approximately; an emulator may count exactly.
    async fn backlog(&self, topic: &Topic, group: &Group) -> Result<u64> {
        let queue = Keeper::new(self, "backlog").mode(TopologyMode::Check).group(topic, group).await;
        let queue = queue.map_err(|error| match error.kind() {
            // Somebody else's queue is, for this group, none.
            Kind::InvalidConfiguration => missing_group(topic, group),
            _ => error,
        })?;
        backlog("backlog", &queue)
    }

    async fn groups(&self, topic: &Topic) -> Result<Vec<GroupInfo>> {
        let keeper = Keeper::new(self, "groups");
        let mut groups = Vec::new();
        for mut queue in self.existing("groups", topic).await? {
            let group = match &queue.group {
                Some(group) => Some(group.to_string()),
                None => keeper.owner_of(&queue).await?,
            };
            let Some(group) = group else { continue };
            queue.traits = keeper.traits(&queue).await?;
            let backlog = backlog("groups", &queue)?;
            groups.push(GroupInfo {
                group,
                members: None,
                partitions: vec![PartitionLag { partition: 0, backlog }],
            });
        }
        Ok(groups)
    }

    async fn diagnose(&self, topic: Option<&Topic>) -> Result<Vec<Diagnosis>> {
        Ok(diagnosis::of(self, topic).await)
    }

    async fn health(&self) -> Result<Duration> {
        let started = Instant::now();
        self.cloud.reach(&self.config, "health").await?;
        Ok(started.elapsed())
    }
}

impl Sqs {
    /// The topic's queues as they are, whatever groups this program knows.
    async fn existing(&self, operation: &'static str, topic: &Topic) -> Result<Vec<Queue>> {
        let keeper = Keeper::new(self, operation);
        let alone = names::queue(&self.config.prefix, topic, None)?;
        let found = if self.config.groups.is_empty() {
            let url = keeper.find(&alone).await?;
            url.map(|url| Queue { url, group: None, traits: None }).into_iter().collect()
        } else {
            let prefix = alone.trim_end_matches(names::SUFFIX);
            let mut queues = self.list(operation, prefix).await?;
            queues.retain_mut(|queue| match names::read(&self.config.prefix, queue.name()) {
                Some((of, Some(group))) if of == *topic => {
                    queue.group = Some(group);
                    true
                }
                _ => false,
            });
            queues
        };
        if found.is_empty() {
            let text = format!("there is no topic `{topic}`");
            return Err(Error::new(Kind::NotFound, operation, text)
                .on(self.config.place())
                .advice("create it: anybroker topics create URL TOPIC --groups GROUP"));
        }
        Ok(found)
    }

    async fn list(&self, operation: &'static str, prefix: &str) -> Result<Vec<Queue>> {
        let listing = async {
            let (mut queues, mut next) = (Vec::new(), None);
            loop {
                let asked = self.cloud.client.list_queues().queue_name_prefix(prefix).max_results(PAGE);
                let page = asked.set_next_token(next).send().await.map_err(|e| typed(operation, e))?;
                let found = page.queue_urls.unwrap_or_default();
                queues.extend(found.into_iter().map(|url| Queue { url, group: None, traits: None }));
                next = page.next_token;
                if next.is_none() {
                    return Ok(queues);
                }
            }
        };
        within(self.config.deadline, operation, listing).await
    }
}

fn backlog(operation: &'static str, queue: &Queue) -> Result<u64> {
    let denied = || {
        let text = format!("the attributes of queue `{}` may not be read", queue.name());
        Error::new(Kind::PermissionDenied, operation, text).advice("allow sqs:GetQueueAttributes")
    };
    queue.traits.as_ref().map(|traits| traits.waiting + traits.held).ok_or_else(denied)
}

fn missing_group(topic: &Topic, group: &Group) -> Error {
    let text = format!("topic `{topic}` has no group `{group}`");
    Error::new(Kind::NotFound, "backlog", text)
}
