//! The session's way to the server: acknowledgements, which the server answers, and closing.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::{self, Ack, within};
use anybroker_core::{Error, Fate, Kind, Result, Settled, async_trait};
use async_nats::client::Request;
use async_nats::{Client, Subject};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::error::requesting;
use crate::lane::Shared;
use crate::link::Link;
use crate::member::Close;

const ACK: Bytes = Bytes::from_static(b"+ACK");

/// What a session has of its adapter.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) link: Arc<Link>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::Sender<Close>,
    pub(crate) deadline: Duration,
    /// What the server's word on an acknowledgement amounts to.
    pub(crate) settled: Settled,
}

impl Handle {
    /// The subjects that acknowledge; an error for what is not ours any more.
    fn replies(&self, acks: &[Ack]) -> Vec<Result<Subject>> {
        let (lanes, now) = (self.shared.lanes(), Instant::now());
        acks.iter()
            .map(|ack| {
                let held = lanes.get(&ack.partition).filter(|held| held.until > now).ok_or_else(fenced)?;
                held.reply(ack.native).ok_or_else(fenced)
            })
            .collect()
    }

    /// What is answered together: with a majority each by itself, else all of a partition with the last of them. The server
    /// takes what one connection sends in order.
    fn groups(
        &self,
        acks: &[Ack],
        replies: Vec<Result<Subject>>,
        results: &mut [Result<Settled>],
    ) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (at, reply) in replies.into_iter().enumerate() {
            let reply = match reply {
                Ok(reply) => (at, reply),
                Err(error) => {
                    results[at] = Err(error);
                    continue;
                }
            };
            let partition = acks[at].partition;
            let together =
                |group: &&mut Group| self.settled == Settled::Recorded && group.partition == partition;
            match groups.iter_mut().find(together) {
                Some(group) => group.replies.push(reply),
                None => groups.push(Group { partition, replies: vec![reply] }),
            }
        }
        groups
    }

    /// Sends all and collects the answers into `results`.
    async fn send(&self, groups: Vec<Group>, results: &mut [Result<Settled>]) -> Result<()> {
        let epoch = self.link.up("acknowledge", self.deadline).await?;
        let client = self.link.client("acknowledge")?;
        let mut answers: FuturesUnordered<_> = groups.into_iter().map(|group| group.send(&client)).collect();
        loop {
            tokio::select! {
                biased;
                answer = answers.next() => match answer {
                    Some((group, Ok(()))) => group.places().for_each(|at| results[at] = Ok(self.settled)),
                    Some((group, Err(error))) => group.places().for_each(|at| results[at] = Err(error.duplicate())),
                    None => return Ok(()),
                },
                () = self.link.lost(epoch) => {
                    return Err(Error::new(Kind::Disconnected, "acknowledge", "the connection broke"));
                }
            }
        }
    }
}

/// Acknowledgements that one answer is for.
struct Group {
    partition: u32,
    /// Each with its place in the call.
    replies: Vec<(usize, Subject)>,
}

impl Group {
    async fn send(self, client: &Client) -> (Self, Result<()>) {
        let sent = self.ask(client).await;
        (self, sent)
    }

    /// Sends them in order, and waits until the server has the last one.
    async fn ask(&self, client: &Client) -> Result<()> {
        let Some(((_, last), before)) = self.replies.split_last() else { return Ok(()) };
        for (_, reply) in before {
            // Fails only with the connection, and then the request below does too.
            let _ = client.publish(reply.clone(), ACK).await;
        }
        let request = Request::new().payload(ACK).timeout(None);
        let answer = client.send_request(last.clone(), request).await;
        answer.map(drop).map_err(|error| requesting("acknowledge", error))
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        self.replies.iter().map(|(at, _)| *at)
    }
}

#[async_trait]
impl kit::Link for Handle {
    fn confirms(&self) -> bool {
        true
    }

    async fn acknowledge(&self, acks: &[Ack]) -> Vec<Result<Settled>> {
        let unanswered = || Error::new(Kind::TimedOut, "acknowledge", "the server did not answer");
        let mut results: Vec<_> = acks.iter().map(|_| Err(unanswered())).collect();
        let groups = self.groups(acks, self.replies(acks), &mut results);
        let sent = within(self.deadline, "acknowledge", self.send(groups, &mut results)).await;
        if let Err(error) = sent {
            for result in results.iter_mut().filter(|r| matches!(r, Err(e) if e.kind() == Kind::TimedOut)) {
                *result = Err(error.duplicate().with_fate(Fate::Unknown));
            }
        }
        let mut lanes = self.shared.lanes();
        for (ack, _) in acks.iter().zip(&results).filter(|(_, result)| result.is_ok()) {
            if let Some(held) = lanes.get_mut(&ack.partition) {
                held.acknowledged(ack.native);
            }
        }
        drop(lanes);
        results
    }

    /// Every acknowledgement has been waited for when it was made.
    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        within(self.deadline, "close", async {
            let (answer, answered) = oneshot::channel();
            let ended = || Error::new(Kind::Closed, "close", "the consumer has ended");
            self.commands.send(Close(answer)).await.map_err(|_| ended())?;
            answered.await.map_err(|_| ended())?
        })
        .await
    }
}

fn fenced() -> Error {
    Error::new(Kind::Fenced, "acknowledge", "its partition was taken away, and the new owner receives it")
}
