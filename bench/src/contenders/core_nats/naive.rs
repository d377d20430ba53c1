//! Each message by itself.

use async_nats::{Client, Subject};
use async_trait::async_trait;

use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    client: Client,
    subject: Subject,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        Ok(Publishing { client: super::client(task).await?, subject: task.topic.as_str().into() })
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        self.pass((0..count).map(|number| load.item(number)).collect()).await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            self.client.publish(self.subject.clone(), item.payload).await?;
            self.client.flush().await?;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        Ok(())
    }
}
