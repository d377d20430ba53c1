//! The queues of a topic: found, looked at, created.

use std::collections::HashMap;

use anybroker_core::{Error, Group, Kind, Result, Topic, TopologyMode};
use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesOutput;
use aws_sdk_sqs::types::QueueAttributeName as Name;

use crate::backend::Sqs;
use crate::error::typed;
use crate::names;

/// The tag that holds the name of the one group of a queue.
pub(crate) const GROUP_TAG: &str = "anybroker-group";
/// The fewest receives after which a queue may move a message away unasked: the client dead-letters, and the broker's limit
/// is only a backstop.
pub(crate) const FEWEST_RECEIVES: u32 = 100;
/// The largest message where the queue does not say it:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>.
pub(crate) const MESSAGE_BYTES: usize = 1_048_576;

/// A queue that exists.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) url: String,
    /// The group that it is for, with fan-out.
    pub(crate) group: Option<Group>,
    /// What the server says of it; none where nothing was looked at, or nobody may look.
    pub(crate) traits: Option<Traits>,
}

impl Queue {
    pub(crate) fn name(&self) -> &str {
        names::of_url(&self.url)
    }

    /// The largest message, as SQS counts it.
    pub(crate) fn message_bytes(&self) -> usize {
        self.traits.as_ref().and_then(|traits| traits.message_bytes).unwrap_or(MESSAGE_BYTES)
    }
}

/// A queue's attributes, as far as they matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Traits {
    pub(crate) message_bytes: Option<usize>,
    pub(crate) visibility: Option<u64>,
    pub(crate) retention: Option<u64>,
    pub(crate) delay: u64,
    /// After how many receives the queue moves a message to its dead letter queue.
    pub(crate) redrive: Option<u32>,
    pub(crate) content_deduplication: bool,
    pub(crate) deduplication_per_group: bool,
    pub(crate) encrypted: bool,
    /// Messages that wait, and those that consumers hold.
    pub(crate) waiting: u64,
    pub(crate) held: u64,
}

impl Traits {
    fn read(output: &GetQueueAttributesOutput) -> Self {
        let none = HashMap::new();
        let all = output.attributes().unwrap_or(&none);
        let text = |name: Name| all.get(&name).map(String::as_str);
        let number = |name: Name| text(name).and_then(|text| text.parse::<u64>().ok());
        let redrive = || {
            let policy: serde_json::Value = serde_json::from_str(text(Name::RedrivePolicy)?).ok()?;
            let count = &policy["maxReceiveCount"];
            count.as_u64().or_else(|| count.as_str()?.parse().ok())
        };
        Traits {
            message_bytes: number(Name::MaximumMessageSize).map(|bytes| bytes as usize),
            visibility: number(Name::VisibilityTimeout),
            retention: number(Name::MessageRetentionPeriod),
            delay: number(Name::DelaySeconds).unwrap_or(0),
            redrive: redrive().map(|count| count.try_into().unwrap_or(u32::MAX)),
            content_deduplication: text(Name::ContentBasedDeduplication) == Some("true"),
            deduplication_per_group: text(Name::DeduplicationScope) == Some("messageGroup"),
            encrypted: text(Name::KmsMasterKeyId).is_some()
                || text(Name::SqsManagedSseEnabled) == Some("true"),
            waiting: number(Name::ApproximateNumberOfMessages).unwrap_or(0)
                + number(Name::ApproximateNumberOfMessagesDelayed).unwrap_or(0),
            held: number(Name::ApproximateNumberOfMessagesNotVisible).unwrap_or(0),
        }
    }

    /// What of a queue does not fit, and what to do about it.
    fn difference(&self, stated_redrive: Option<u32>) -> Option<(String, String)> {
        if self.delay > 0 {
            let text = format!("it delays every message by {} s, and 0 is asked for", self.delay);
            return Some((text, "set the queue's DelaySeconds to 0".to_owned()));
        }
        let redrive =
            self.redrive.filter(|count| *count < FEWEST_RECEIVES && stated_redrive != Some(*count))?;
        let text = format!(
            "its redrive policy moves messages away after {redrive} receives, and {FEWEST_RECEIVES} or more are asked for: \
             messages that were received and never tried count too"
        );
        let advice =
            format!("raise maxReceiveCount, remove the policy, or state that it is meant: redrive={redrive}");
        Some((text, advice))
    }
}

/// Finds, looks at and creates queues for one operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeper<'a> {
    sqs: &'a Sqs,
    operation: &'static str,
    mode: TopologyMode,
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(sqs: &'a Sqs, operation: &'static str) -> Self {
        Keeper { sqs, operation, mode: sqs.config.topology }
    }

    pub(crate) fn mode(self, mode: TopologyMode) -> Self {
        Keeper { mode, ..self }
    }

    /// The topic's queues: one, or with fan-out one for each group.
    pub(crate) async fn topic(&self, topic: &Topic) -> Result<Vec<Queue>> {
        if self.sqs.config.groups.is_empty() {
            return Ok(vec![self.queue(topic, None).await?]);
        }
        let queues = self.sqs.config.groups.iter().map(|group| self.queue(topic, Some(group)));
        futures::future::try_join_all(queues).await
    }

    /// The queue that a group reads.
    pub(crate) async fn group(&self, topic: &Topic, group: &Group) -> Result<Queue> {
        self.listed(group)?;
        if !self.sqs.config.groups.is_empty() {
            return self.queue(topic, Some(group)).await;
        }
        let queue = self.queue(topic, None).await?;
        match self.mode {
            TopologyMode::Ignore => {}
            mode => self.owner(topic, &queue, group, mode).await?,
        }
        Ok(queue)
    }

    /// With fan-out, the publisher must know every group.
    pub(crate) fn listed(&self, group: &Group) -> Result<()> {
        let groups = &self.sqs.config.groups;
        if groups.is_empty() || groups.contains(group) {
            return Ok(());
        }
        let names: Vec<_> = groups.iter().map(Group::as_str).collect();
        let text = format!("group `{group}` is none of groups={}, to which publishers send", names.join(","));
        Err(Error::new(Kind::InvalidConfiguration, self.operation, text)
            .advice("add it to groups= of every program that publishes, then declare it"))
    }

    /// The one group of a queue is written on it.
    async fn owner(&self, topic: &Topic, queue: &Queue, group: &Group, mode: TopologyMode) -> Result<()> {
        match self.owner_of(queue).await? {
            Some(owner) if owner == group.as_str() => Ok(()),
            Some(owner) => {
                let text = format!(
                    "topic `{topic}` has one queue, which is group `{owner}`'s, and `{group}` is asked for"
                );
                Err(Error::new(Kind::InvalidConfiguration, self.operation, text)
                    .on(self.sqs.config.place())
                    .advice(format!(
                        "SQS has no groups: give each a queue of its own that publishers send to, \
                     fan_out=publisher&groups={owner},{group}; or use group `{owner}`"
                    )))
            }
            None if mode == TopologyMode::Create => {
                let tagged =
                    self.sqs.cloud.client.tag_queue().queue_url(&queue.url).tags(GROUP_TAG, group.as_str());
                tagged
                    .send()
                    .await
                    .map(|_| ())
                    .map_err(|e| typed(self.operation, e).on(format!("queue `{}`", queue.name())))
            }
            None => {
                let text = format!(
                    "topic `{topic}` has no group `{group}`: queue `{}` has no tag {GROUP_TAG}",
                    queue.name()
                );
                Err(Error::new(Kind::NotFound, self.operation, text).advice(
                    "declare it: anybroker topics create URL TOPIC --groups GROUP; or tag the queue with the group's name",
                ))
            }
        }
    }

    /// The group whose name a queue bears.
    pub(crate) async fn owner_of(&self, queue: &Queue) -> Result<Option<String>> {
        let tags = self.sqs.cloud.client.list_queue_tags().queue_url(&queue.url).send().await;
        let tags = tags.map_err(|e| {
            let error = typed(self.operation, e).on(format!("queue `{}`", queue.name()));
            if error.kind() == Kind::PermissionDenied {
                error.advice("allow sqs:ListQueueTags, or topology=ignore")
            } else {
                error
            }
        })?;
        Ok(tags.tags().and_then(|tags| tags.get(GROUP_TAG)).cloned())
    }

    async fn queue(&self, topic: &Topic, group: Option<&Group>) -> Result<Queue> {
        let name = names::queue(&self.sqs.config.prefix, topic, group)?;
        let url = match (self.find(&name).await?, self.mode) {
            (Some(url), _) => url,
            (None, TopologyMode::Create) => self.create(&name).await?,
            (None, _) => {
                let text = format!("there is no topic `{topic}`: queue `{name}` does not exist");
                return Err(Error::new(Kind::NotFound, self.operation, text).on(self.sqs.config.place()).advice(
                    "create it: anybroker topics create URL TOPIC --groups GROUP, or add topology=create to the URL",
                ));
            }
        };
        let mut queue = Queue { url, group: group.cloned(), traits: None };
        if self.mode != TopologyMode::Ignore {
            queue.traits = self.traits(&queue).await?;
            let difference =
                queue.traits.as_ref().and_then(|traits| traits.difference(self.sqs.config.redrive));
            if let Some((text, advice)) = difference {
                let text = format!("queue `{}` differs from what is asked for: {text}", queue.name());
                return Err(Error::new(Kind::InvalidConfiguration, self.operation, text).advice(advice));
            }
        }
        Ok(queue)
    }

    /// The URL of a queue, if there is one of that name.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<String>> {
        let asked = self.sqs.cloud.client.get_queue_url().queue_name(name);
        let found = asked.set_queue_owner_aws_account_id(self.sqs.config.account.clone()).send().await;
        match found {
            Ok(found) => Ok(found.queue_url),
            Err(error) => match typed(self.operation, error) {
                error if error.kind() == Kind::NotFound => Ok(None),
                error => Err(error.on(format!("queue `{name}`"))),
            },
        }
    }

    /// What the server says of a queue; none if we may not ask.
    pub(crate) async fn traits(&self, queue: &Queue) -> Result<Option<Traits>> {
        let asked = self.sqs.cloud.client.get_queue_attributes().queue_url(&queue.url);
        match asked.attribute_names(Name::All).send().await {
            Ok(output) => Ok(Some(Traits::read(&output))),
            Err(error) => match typed(self.operation, error) {
                error if error.kind() == Kind::PermissionDenied => Ok(None),
                error => Err(error.on(format!("queue `{}`", queue.name()))),
            },
        }
    }

    async fn create(&self, name: &str) -> Result<String> {
        let config = &self.sqs.config;
        let created = self
            .sqs
            .cloud
            .client
            .create_queue()
            .queue_name(name)
            .attributes(Name::FifoQueue, "true")
            .attributes(Name::ContentBasedDeduplication, "false")
            .attributes(Name::VisibilityTimeout, config.visibility.as_secs().to_string())
            .attributes(Name::MessageRetentionPeriod, config.retention.as_secs().to_string())
            .send()
            .await
            .map_err(|e| typed(self.operation, e).on(format!("queue `{name}`")))?;
        created.queue_url.ok_or_else(|| {
            Error::new(Kind::Unexpected, self.operation, "SQS created a queue and did not say where it is")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_say_both_sides_and_what_to_do() {
        let traits = Traits { redrive: Some(3), ..Traits::default() };
        let (text, advice) = traits.difference(None).unwrap();
        assert!(text.contains("after 3 receives") && advice.contains("redrive=3"), "{text}; {advice}");
        assert_eq!(traits.difference(Some(3)), None);
        assert!(Traits { delay: 5, ..Traits::default() }.difference(None).unwrap().0.contains("5 s"));
        assert_eq!(Traits { redrive: Some(100), ..Traits::default() }.difference(None), None);
    }
}
