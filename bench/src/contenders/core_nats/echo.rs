//! Whether the server has read everything: a message to an inbox of ours, sent behind the others, comes back.

use async_nats::{Client, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt;

use crate::Result;

/// Messages of a question, and questions on their way: together what anybroker's publisher has unconfirmed by default.
pub(in crate::contenders) const EVERY: usize = 1_000;
pub(in crate::contenders) const ON_THE_WAY: usize = 9;

pub(in crate::contenders) struct Echo {
    client: Client,
    inbox: Subject,
    answers: Subscriber,
    on_the_way: usize,
}

impl Echo {
    pub(in crate::contenders) async fn open(client: Client) -> Result<Self> {
        let inbox: Subject = client.new_inbox().into();
        let answers = client.subscribe(inbox.clone()).await?;
        Ok(Echo { client, inbox, answers, on_the_way: 0 })
    }

    /// Asks, and waits until so many questions are on their way at most.
    pub(in crate::contenders) async fn ask(&mut self, most: usize) -> Result<()> {
        self.client.publish(self.inbox.clone(), Bytes::new()).await?;
        self.on_the_way += 1;
        while self.on_the_way > most {
            self.answers.next().await.ok_or("the inbox is closed")?;
            self.on_the_way -= 1;
        }
        Ok(())
    }
}
