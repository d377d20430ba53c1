//! A window of publishes, each with its confirmation: whichever is done makes room for the next.

use async_trait::async_trait;
use futures::future::try_join_all;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use lapin::PublisherConfirm;

use super::WINDOW;
use super::outgoing::{Outgoing, check};
use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    outgoing: Outgoing,
    /// Of messages that were passed.
    waiting: FuturesUnordered<PublisherConfirm>,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let outgoing = Outgoing::open(task, false).await?;
        Ok(Publishing { outgoing, waiting: FuturesUnordered::new() })
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        let mut window = FuturesUnordered::new();
        for number in 0..count {
            if window.len() >= WINDOW {
                window.next().await.transpose()?;
            }
            window.push(self.outgoing.publish(load.item(number)));
        }
        while let Some(stored) = window.next().await {
            stored?;
        }
        Ok(())
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        while let Some(Some(confirmation)) = self.waiting.next().now_or_never() {
            check(&confirmation?)?;
        }
        let written = try_join_all(due.into_iter().map(|item| self.outgoing.send(item))).await?;
        self.waiting.extend(written);
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        while let Some(confirmation) = self.waiting.next().await {
            check(&confirmation?)?;
        }
        Ok(())
    }
}
