//! A pull consumer, or one for each partition, that acknowledges each message, or all up to every 200th.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_nats::Subject;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::SelectAll;

use crate::Result;
use crate::contender::Consume;
use crate::harness::Handler;
use crate::task::Task;

/// How it consumes.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// It acknowledges each so many messages, by this policy.
    every: u64,
    policy: AckPolicy,
    /// A consumer for each partition, so that members can share them out.
    by_partition: bool,
}

pub(super) const EACH: Way = Way { every: 1, policy: AckPolicy::Explicit, by_partition: false };
pub(super) const BY_PARTITION: Way = Way { by_partition: true, ..EACH };
pub(super) const ALL: Way = Way { every: 200, policy: AckPolicy::All, by_partition: false };

/// Among the last so many there is one of each partition that is still read.
const LAST: u64 = 2_000;

pub(super) struct Consuming {
    messages: SelectAll<pull::Stream>,
    every: u64,
    /// Of the last so many one of each subject waits: the answer to its acknowledgement is waited for at the end.
    kept: u64,
    last: BTreeMap<Subject, Message>,
}

impl Consuming {
    pub(super) async fn open(task: &Task, way: Way) -> Result<Self> {
        let filters = if way.by_partition { super::subjects(task) } else { vec![Subject::from_static("")] };
        let window = task.prefetch.div_ceil(filters.len());
        let mut messages = SelectAll::new();
        for filter in filters {
            let consumer = super::consumer(task, way.policy, &filter).await?;
            messages.push(consumer.stream().max_messages_per_batch(window).messages().await?);
        }
        let kept = if way.by_partition { LAST } else { 1 };
        Ok(Consuming { messages, every: way.every, kept, last: BTreeMap::new() })
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        for number in 1..=count {
            let message = self.messages.next().await.ok_or("the stream has ended")??;
            handler.handle(&message.payload);
            let due = if count - number < self.kept {
                self.last.insert(message.subject.clone(), message)
            } else {
                (number % self.every == 0).then_some(message)
            };
            if let Some(message) = due {
                message.ack().await?;
            }
        }
        for message in std::mem::take(&mut self.last).into_values() {
            message.double_ack().await?;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
