//! Each message by itself.

use std::sync::Arc;

use async_nats::Subject;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_trait::async_trait;
use futures::StreamExt;

use crate::Result;
use crate::contender::{Consume, Publish};
use crate::harness::Handler;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    context: Context,
    subjects: Vec<Subject>,
    sent: usize,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        Ok(Publishing { context: super::context(task).await?, subjects: super::subjects(task), sent: 0 })
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        self.pass((0..count).map(|number| load.item(number)).collect()).await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            let subject = self.subjects[self.sent % self.subjects.len()].clone();
            self.context.publish(subject, item.payload).await?.await?;
            self.sent += 1;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        Ok(())
    }
}

pub(super) struct Consuming(pull::Stream);

impl Consuming {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        Ok(Consuming(super::consumer(task, AckPolicy::Explicit, "").await?.messages().await?))
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        for _ in 0..count {
            let message = self.0.next().await.ok_or("the stream has ended")??;
            handler.handle(&message.payload);
            message.double_ack().await?;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
