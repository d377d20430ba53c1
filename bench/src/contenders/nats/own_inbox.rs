//! Replies to one inbox, counted.

use async_nats::header::{NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use async_nats::{Client, HeaderMap, Subject, Subscriber};
use async_trait::async_trait;
use futures::{FutureExt, StreamExt};

use super::WINDOW;
use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    client: Client,
    subjects: Vec<Subject>,
    inbox: Subject,
    /// Where each message says its id and the stream that must take it: that stream.
    identified: Option<String>,
    answers: Subscriber,
    sent: usize,
    confirmed: usize,
}

impl Publishing {
    pub(super) async fn open(task: &Task, identified: bool) -> Result<Self> {
        let client = super::client(task).await?;
        let inbox: Subject = client.new_inbox().into();
        let answers = client.subscribe(inbox.clone()).await?;
        let identified = identified.then(|| task.topic.to_string());
        let subjects = super::subjects(task);
        Ok(Publishing { client, subjects, inbox, identified, answers, sent: 0, confirmed: 0 })
    }

    async fn send(&mut self, item: Item) -> Result<()> {
        while let Some(answer) = self.answers.next().now_or_never() {
            self.answered(answer)?;
        }
        while self.sent - self.confirmed >= WINDOW {
            let answer = self.answers.next().await;
            self.answered(answer)?;
        }
        let subject = self.subjects[self.sent % self.subjects.len()].clone();
        let (client, inbox) = (&self.client, self.inbox.clone());
        match &self.identified {
            None => client.publish_with_reply(subject, inbox, item.payload).await?,
            Some(stream) => {
                let mut headers = HeaderMap::new();
                headers.insert(NATS_MESSAGE_ID, format!("{inbox}-{}", self.sent));
                headers.insert(NATS_EXPECTED_STREAM, stream.as_str());
                client.publish_with_reply_and_headers(subject, inbox, headers, item.payload).await?;
            }
        }
        self.sent += 1;
        Ok(())
    }

    fn answered(&mut self, answer: Option<async_nats::Message>) -> Result<()> {
        let answer = answer.ok_or("the inbox is closed")?;
        // What a stream says of a message that it has begins so; an error, or nobody, does not.
        if !answer.payload.starts_with(b"{\"stream\"") {
            return Err(format!("not stored: {}", String::from_utf8_lossy(&answer.payload)).into());
        }
        self.confirmed += 1;
        Ok(())
    }
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
        while self.confirmed < self.sent {
            let answer = self.answers.next().await;
            self.answered(answer)?;
        }
        Ok(())
    }
}
