//! The client's acknowledgement futures, many on their way.

use std::collections::VecDeque;
use std::future::IntoFuture;

use async_nats::Subject;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishAckFuture;
use async_trait::async_trait;

use super::WINDOW;
use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    context: Context,
    subjects: Vec<Subject>,
    sent: usize,
    waiting: VecDeque<PublishAckFuture>,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let mut context = super::context(task).await?;
        context.set_timeout(std::time::Duration::from_secs(60));
        let waiting = VecDeque::with_capacity(WINDOW);
        Ok(Publishing { context, subjects: super::subjects(task), sent: 0, waiting })
    }

    async fn send(&mut self, item: Item) -> Result<()> {
        // The client itself lets fewer than the window be on their way, and waits for the others.
        while self.waiting.len() >= MOST {
            self.oldest().await?;
        }
        let subject = self.subjects[self.sent % self.subjects.len()].clone();
        self.waiting.push_back(self.context.publish(subject, item.payload).await?);
        self.sent += 1;
        Ok(())
    }

    async fn oldest(&mut self) -> Result<()> {
        if let Some(future) = self.waiting.pop_front() {
            future.into_future().await?;
        }
        Ok(())
    }
}

/// Fewer than the client's own bound of 5,000, at which it would wait for what nobody awaits.
const MOST: usize = if WINDOW < 4_000 { WINDOW } else { 4_000 };

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        for number in 0..count {
            self.send(load.item(number)).await?;
        }
        self.confirmed().await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            self.send(item).await?;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            self.oldest().await?;
        }
        Ok(())
    }
}
