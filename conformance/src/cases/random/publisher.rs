//! A publisher of a workload: a task that does one thing after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::Confirmations;
use anybroker_core::{Message, Publisher};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::super::Failure;
use super::super::flow::{self, Chance, Progress};
use crate::recorder::SENTINEL;
use crate::workload::Publish;

enum Order {
    Publish(Publish),
    /// So many messages at once; says when they are on their way.
    Burst(u32, oneshot::Sender<()>),
    /// So many messages that only show that everything moves.
    Sentinels(u32),
}

/// A publisher at work.
pub(super) struct Publishing {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<anybroker_core::Result<()>>,
}

impl Publishing {
    pub(super) fn start(
        publisher: Arc<dyn Publisher>,
        number: usize,
        seed: u64,
        progress: &Arc<Progress>,
    ) -> Self {
        // Never more than a workload has steps.
        let (orders, given) = mpsc::unbounded_channel();
        let publishes = Publishes {
            publisher,
            number,
            prefix: "m",
            sent: 0,
            chance: Chance::new(seed.wrapping_mul(31).wrapping_add(number as u64)),
            waiting: VecDeque::new(),
            progress: progress.clone(),
        };
        Publishing { orders, task: tokio::spawn(publishes.all(given)) }
    }

    pub(super) fn publish(&self, publish: Publish) {
        // A task that has ended says why at its end.
        let _ = self.orders.send(Order::Publish(publish));
    }

    /// Publishes messages that only show that everything moves.
    pub(super) fn sentinels(&self, messages: u32) {
        let _ = self.orders.send(Order::Sentinels(messages));
    }

    /// Publishes at once; ends with the messages on their way.
    pub(super) fn burst(&self, messages: u32) -> impl Future<Output = ()> + use<> {
        let orders = self.orders.clone();
        async move {
            let (sent, on_their_way) = oneshot::channel();
            let _ = orders.send(Order::Burst(messages, sent));
            // A task that has ended says why at its end.
            let _ = on_their_way.await;
        }
    }

    /// Waits until it has an outcome of everything.
    pub(super) async fn end(self) -> Result<(), Failure> {
        drop(self.orders);
        Ok(self.task.await.unwrap_or_else(|e| Err(flow::panicked(e)))?)
    }
}

struct Publishes {
    publisher: Arc<dyn Publisher>,
    number: usize,
    /// What the names of its messages begin with.
    prefix: &'static str,
    sent: u64,
    chance: Chance,
    waiting: VecDeque<(Vec<String>, Confirmations)>,
    progress: Arc<Progress>,
}

/// What is on its way when something breaks.
const BURST: Publish =
    Publish { publisher: 0, messages: 0, call: 20, keys: 20, bytes: 100, ahead: u32::MAX, pause_ms: 0 };

impl Publishes {
    async fn all(mut self, mut given: mpsc::UnboundedReceiver<Order>) -> anybroker_core::Result<()> {
        while let Some(order) = given.recv().await {
            match order {
                Order::Publish(publish) => self.publish(publish).await?,
                Order::Sentinels(messages) => {
                    self.prefix = SENTINEL;
                    self.publish(Publish { messages, ..BURST }).await?;
                }
                Order::Burst(messages, sent) => {
                    self.publish(Publish { messages, ..BURST }).await?;
                    // Nobody waits for it any more where a run has ended.
                    let _ = sent.send(());
                    self.settled(0).await;
                }
            }
        }
        self.settled(0).await;
        self.publisher.close().await
    }

    async fn publish(&mut self, step: Publish) -> anybroker_core::Result<()> {
        let mut left = step.messages;
        while left > 0 {
            let size = (1 + self.chance.below(u64::from(step.call.max(1))) as u32).min(left);
            left -= size;
            let batch: Vec<_> = (0..size).map(|_| self.message(&step)).collect();
            let ids = batch.iter().map(|message| message.id.to_string()).collect();
            let permit = self.publisher.ready(batch.len(), batch.iter().map(Message::size).sum()).await?;
            self.waiting.push_back((ids, self.publisher.enqueue(permit, batch)));
            self.settled(step.ahead as usize).await;
            if step.pause_ms > 0 {
                tokio::time::sleep(Duration::from_millis(step.pause_ms)).await;
            }
        }
        Ok(())
    }

    fn message(&mut self, step: &Publish) -> Message {
        self.sent += 1;
        let name = format!("{}{}-{}", self.prefix, self.number, self.sent);
        let mut payload = format!("{name}/").into_bytes();
        payload.resize(payload.len().max(step.bytes as usize), b'.');
        let message = Message::new(payload).with_id(name);
        match step.keys {
            0 => message,
            keys => message.with_key(format!("k{}", self.chance.below(u64::from(keys)))),
        }
    }

    /// Waits until only so many calls wait for their outcomes.
    async fn settled(&mut self, ahead: usize) {
        while self.waiting.len() > ahead {
            flow::settle(&*self.publisher, self.waiting.pop_front(), &self.progress).await;
        }
    }
}
