//! Many publishes at once, their confirmations awaited in order.

use std::collections::VecDeque;

use async_trait::async_trait;
use futures::future::try_join_all;
use lapin::PublisherConfirm;

use super::WINDOW;
use super::outgoing::{Outgoing, check};
use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load, Task};

/// Messages that are handed to the channel at once: waiting until each is written costs more than writing it.
const CHUNK: usize = 500;

pub(super) struct Publishing {
    outgoing: Outgoing,
    waiting: VecDeque<PublisherConfirm>,
}

impl Publishing {
    pub(super) async fn open(task: &Task, ids: bool) -> Result<Self> {
        let outgoing = Outgoing::open(task, ids).await?;
        Ok(Publishing { outgoing, waiting: VecDeque::with_capacity(WINDOW) })
    }

    async fn send(&mut self, chunk: Vec<Item>) -> Result<()> {
        self.confirm(WINDOW.saturating_sub(chunk.len())).await?;
        let written = try_join_all(chunk.into_iter().map(|item| self.outgoing.send(item))).await?;
        self.waiting.extend(written);
        Ok(())
    }

    /// Waits for the oldest until so many are left.
    async fn confirm(&mut self, left: usize) -> Result<()> {
        while self.waiting.len() > left {
            let Some(oldest) = self.waiting.pop_front() else { break };
            check(&oldest.await?)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        let mut sent = 0;
        while sent < count {
            let until = count.min(sent + CHUNK as u64);
            self.send((sent..until).map(|number| load.item(number)).collect()).await?;
            sent = until;
        }
        self.confirm(0).await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        self.send(due).await
    }

    async fn confirmed(&mut self) -> Result<()> {
        self.confirm(0).await
    }
}
