//! Publishes one after the other; every so many are confirmed together.

use anybroker::MessageId;
use async_nats::{Client, HeaderMap, Subject};
use async_trait::async_trait;

use super::echo::{EVERY, Echo, ON_THE_WAY};
use super::{ID, KEY};
use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    client: Client,
    subject: Subject,
    echo: Echo,
    /// Whether messages say an id and their key, as ours do.
    ids: bool,
    sent: usize,
}

impl Publishing {
    pub(super) async fn open(task: &Task, ids: bool) -> Result<Self> {
        let client = super::client(task).await?;
        let (subject, echo) = (task.topic.as_str().into(), Echo::open(client.clone()).await?);
        Ok(Publishing { client, subject, echo, ids, sent: 0 })
    }

    async fn send(&mut self, item: Item) -> Result<()> {
        let (subject, payload) = (self.subject.clone(), item.payload.clone());
        if self.ids {
            self.client.publish_with_headers(subject, headers(&item), payload).await?;
        } else {
            self.client.publish(subject, payload).await?;
        }
        self.sent += 1;
        if self.sent.is_multiple_of(EVERY) { self.echo.ask(ON_THE_WAY).await } else { Ok(()) }
    }
}

fn headers(item: &Item) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(KEY, String::from_utf8_lossy(&item.key).as_ref());
    headers.insert(ID, MessageId::new().to_string());
    headers
}

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
        self.echo.ask(0).await
    }
}
