//! A queue subscription. Nothing is acknowledged: the server forgets a message as it sends it.

use std::hint::black_box;
use std::sync::Arc;

use async_nats::{Client, Subscriber};
use async_trait::async_trait;
use futures::StreamExt;

use super::echo::Echo;
use super::{ID, KEY};
use crate::Result;
use crate::contender::Consume;
use crate::harness::Handler;
use crate::task::Task;

pub(super) struct Subscribing {
    _client: Client,
    subscriber: Subscriber,
    /// Whether ids and keys are looked at.
    ids: bool,
}

impl Subscribing {
    /// When this returns, the server knows of the subscription.
    pub(super) async fn open(task: &Task, ids: bool) -> Result<Self> {
        let client = super::client(task).await?;
        let subscriber = client.queue_subscribe(task.topic.clone(), task.group.clone()).await?;
        Echo::open(client.clone()).await?.ask(0).await?;
        Ok(Subscribing { _client: client, subscriber, ids })
    }
}

#[async_trait]
impl Consume for Subscribing {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        for _ in 0..count {
            let message = self.subscriber.next().await.ok_or("the subscription has ended")?;
            if self.ids {
                let headers = message.headers.as_ref();
                black_box(headers.and_then(|headers| Some((headers.get(ID)?, headers.get(KEY)?))));
            }
            handler.handle(&message.payload);
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
