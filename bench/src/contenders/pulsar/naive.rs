//! Each message by itself.

use async_trait::async_trait;
use pulsar::{Producer, TokioExecutor};

use super::publishing::message;
use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing(Producer<TokioExecutor>);

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let producer = super::client(task).await?.producer().with_topic(super::topic(task)?);
        Ok(Publishing(producer.build().await?))
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        self.pass((0..count).map(|number| load.item(number)).collect()).await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            self.0.send_non_blocking(message(item)).await?.await?;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        Ok(())
    }
}
