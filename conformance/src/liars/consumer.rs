//! The lying consumer.

use std::sync::Arc;

use anybroker_core::{Consumer, Delivery, Result, Settler, Token, async_trait};
use tokio::time::Instant;

use super::aside::Aside;
use super::handed::{Behind, Handed, at_once};
use super::settler::LyingSettler;
use super::world::{Telling, World};

#[derive(Debug)]
pub(super) struct LyingConsumer {
    /// None once it is closed.
    consumer: Option<Box<dyn Consumer>>,
    settler: Arc<LyingSettler>,
    world: Arc<World>,
    group: Arc<Aside>,
    telling: Telling,
    member: u64,
}

impl LyingConsumer {
    pub(super) fn new(
        consumer: Box<dyn Consumer>,
        world: Arc<World>,
        group: Arc<Aside>,
        telling: Telling,
    ) -> Self {
        let settler = LyingSettler::new(consumer.settler(), world.clone(), group.clone(), telling);
        let (member, consumer) = (group.join(), Some(consumer));
        LyingConsumer { consumer, settler: Arc::new(settler), world, group, telling, member }
    }

    fn hand_out(&mut self, max: usize) -> Vec<Delivery> {
        let batch = self.settler.batch(max);
        self.group.delivered(batch.len());
        batch.into_iter().map(|handed| self.delivery(handed)).collect()
    }

    /// Every delivery has a token of its own, whatever stands behind it.
    fn delivery(&self, handed: Handed) -> Delivery {
        let token = Token {
            partition: handed.partition,
            generation: handed.generation,
            sequence: self.world.next(),
            handout: 1,
            attempt: handed.attempt,
        };
        let (record, provenance) = (handed.record.clone(), handed.provenance(self.telling.positions));
        self.settler.hold(token, handed);
        Delivery::new(record, token, provenance, self.settler.clone())
    }

    /// Takes messages from the broker, and lies.
    fn take_in(&mut self, batch: Vec<Delivery>) {
        let batch = batch.into_iter().map(|delivery| self.group.counted(Handed::of(delivery, self.member)));
        let lied = self.world.lie.deliver(&self.group, batch.collect());
        self.settler.keep_ready(lied);
    }

    /// What is ready, and, if the lie is about it, what the broker's own consumer has fetched.
    fn undelivered(&mut self) -> Vec<Handed> {
        let mut waiting = self.settler.ready(usize::MAX);
        if let Some(consumer) = self.consumer.as_mut().filter(|_| self.world.lie.drains()) {
            while let Some(Ok(batch)) = at_once(consumer.receive(1_000)) {
                waiting.extend(batch.into_iter().map(|delivery| Handed::of(delivery, self.member)));
            }
        }
        waiting
    }

    /// The member ends; says what it held, of which the broker's own goes when the session has ended.
    fn end(&mut self) -> Vec<Handed> {
        self.group.leave(self.member);
        let waiting = self.undelivered();
        let undelivered = self.world.lie.undelivered(&self.group, waiting);
        let held = self.world.lie.ended(&self.group, self.settler.take_all());
        let (own, others): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|handed| matches!(handed.behind, Behind::Liar));
        for handed in own {
            self.group.put_back(handed, std::time::Duration::ZERO, true);
        }
        let (waiting, left): (Vec<_>, Vec<_>) =
            undelivered.into_iter().partition(|handed| matches!(handed.behind, Behind::Liar));
        for handed in waiting {
            self.group.put(handed, super::aside::When::now());
        }
        others.into_iter().chain(left).collect()
    }
}

#[async_trait]
impl Consumer for LyingConsumer {
    async fn receive(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let group = self.group.clone();
        loop {
            self.world.patience()?;
            let mut changed = std::pin::pin!(group.changed.notified());
            changed.as_mut().enable();
            self.world.running().await;
            self.settler.keep_ready(group.take_due(self.member, max));
            let ready = self.hand_out(max);
            if !ready.is_empty() {
                return Ok(ready);
            }
            let Some(consumer) = &mut self.consumer else { return Ok(Vec::new()) };
            let batch = tokio::select! {
                biased;
                batch = consumer.receive(self.world.lie.take(max)) => batch?,
                () = changed => continue,
                () = sleep_until(group.next_due()) => continue,
            };
            self.world.running().await;
            self.take_in(batch);
        }
    }

    fn settler(&self) -> Arc<dyn Settler> {
        self.settler.clone()
    }

    async fn close(mut self: Box<Self>) -> Result<()> {
        let held = self.end();
        let closed = match self.consumer.take() {
            Some(consumer) => consumer.close().await,
            None => Ok(()),
        };
        drop(held);
        closed
    }
}

impl Drop for LyingConsumer {
    fn drop(&mut self) {
        if self.consumer.is_some() {
            let held = self.end();
            self.consumer = None;
            drop(held);
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
