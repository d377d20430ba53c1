//! Whether the server has read everything, as the hand-written contender asks it: these libraries have an older client.

use bytes::Bytes;
use futures::StreamExt;
use mq_bridge::async_nats::{Client, Subject, Subscriber};

use crate::Result;

pub(super) struct Echo {
    client: Client,
    inbox: Subject,
    answers: Subscriber,
    on_the_way: usize,
}

impl Echo {
    pub(super) async fn open(client: Client) -> Result<Self> {
        let inbox: Subject = client.new_inbox().into();
        let answers = client.subscribe(inbox.clone()).await?;
        Ok(Echo { client, inbox, answers, on_the_way: 0 })
    }

    /// Asks, and waits until so many questions are on their way at most.
    pub(super) async fn ask(&mut self, most: usize) -> Result<()> {
        self.client.publish(self.inbox.clone(), Bytes::new()).await?;
        self.on_the_way += 1;
        while self.on_the_way > most {
            self.answers.next().await.ok_or("the inbox is closed")?;
            self.on_the_way -= 1;
        }
        Ok(())
    }
}
