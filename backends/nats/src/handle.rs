//! The session's way to the server: acknowledgements, each confirmed by the server, and closing.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::{self, Ack, within};
use anybroker_core::{Error, Fate, Kind, Result, Settled, async_trait};
use async_nats::Subject;
use async_nats::client::Request;
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

    /// Sends all and collects the answers into `results`.
    async fn send(&self, replies: Vec<Result<Subject>>, results: &mut [Result<Settled>]) -> Result<()> {
        let epoch = self.link.up("acknowledge", self.deadline).await?;
        let client = self.link.client("acknowledge")?;
        let mut answers = FuturesUnordered::new();
        for (at, reply) in replies.into_iter().enumerate() {
            match reply {
                Ok(reply) => {
                    let request = Request::new().payload(ACK).timeout(None);
                    let client = &client;
                    answers.push(async move { (at, client.send_request(reply, request).await) });
                }
                Err(error) => results[at] = Err(error),
            }
        }
        loop {
            tokio::select! {
                biased;
                answer = answers.next() => match answer {
                    Some((at, Ok(_))) => results[at] = Ok(self.settled),
                    Some((at, Err(error))) => results[at] = Err(requesting("acknowledge", error)),
                    None => return Ok(()),
                },
                () = self.link.lost(epoch) => {
                    return Err(Error::new(Kind::Disconnected, "acknowledge", "the connection broke"));
                }
            }
        }
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
        let sent = within(self.deadline, "acknowledge", self.send(self.replies(acks), &mut results)).await;
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
