//! A member of a workload: a task that settles as its manners and chance have it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Broker, Consumer, Delivery, Group, Settlement, Settler, Subscription, Verdict};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::super::Failure;
use super::super::flow::{self, Chance, Progress};
use super::super::stream::opened;
use super::adversary;
use crate::workload::Manners;

enum Order {
    Behave(Manners),
    Leave,
    Crash,
}

/// A member at work.
pub(super) struct Member {
    group: Group,
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<anybroker_core::Result<()>>,
}

impl Member {
    /// Works with `consumer`; where an adversary ends it, joins again.
    pub(super) fn start(
        consumer: Box<dyn Consumer>,
        again: (Broker, Subscription),
        manners: Manners,
        seed: u64,
        progress: &Arc<Progress>,
    ) -> Self {
        // Never more than a workload has steps.
        let (orders, given) = mpsc::unbounded_channel();
        let settler = consumer.settler();
        let group = settler.group().clone();
        let (chance, progress) = (Chance::new(seed), progress.clone());
        let work = Work { again, settler, manners, chance, progress, held: BTreeMap::new(), number: 0 };
        Member { group, orders, task: tokio::spawn(work.until_told(consumer, given)) }
    }

    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    pub(super) fn behave(&self, manners: Manners) {
        // A task that has ended says why when it is to leave.
        let _ = self.orders.send(Order::Behave(manners));
    }

    /// Closes in order.
    pub(super) async fn leave(self) -> Result<(), Failure> {
        self.end(Order::Leave).await
    }

    /// Vanishes.
    pub(super) async fn crash(self) -> Result<(), Failure> {
        self.end(Order::Crash).await
    }

    async fn end(self, order: Order) -> Result<(), Failure> {
        let _ = self.orders.send(order);
        let ended = self.task.await.unwrap_or_else(|e| Err(flow::panicked(e)));
        Ok(ended.map_err(|error| format!("a member of {} ended: {error}", self.group))?)
    }
}

struct Work {
    again: (Broker, Subscription),
    settler: Arc<dyn Settler>,
    manners: Manners,
    chance: Chance,
    progress: Arc<Progress>,
    /// What is acknowledged later, by when.
    held: BTreeMap<(Instant, u64), Delivery>,
    number: u64,
}

impl Work {
    async fn until_told(
        mut self,
        mut consumer: Box<dyn Consumer>,
        mut given: mpsc::UnboundedReceiver<Order>,
    ) -> anybroker_core::Result<()> {
        loop {
            let due = self.held.keys().next().map(|(due, _)| *due);
            let take = 1 + self.chance.below(u64::from(self.manners.take)) as usize;
            tokio::select! {
                order = given.recv() => match order {
                    Some(Order::Behave(manners)) => self.manners = manners,
                    // The consumer goes first: nothing that it holds is handed back one by one.
                    Some(Order::Crash) => {
                        drop(consumer);
                        return Ok(());
                    }
                    Some(Order::Leave) | None => break,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.release_held().await,
                batch = consumer.receive(take) => match batch {
                    Ok(batch) => self.treat(batch).await,
                    Err(error) if adversary(&self.again.0).is_some() && error.is_retryable() => {
                        consumer = self.join_again().await?;
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        let flushed = self.settler.flush().await;
        match flushed.and(consumer.close().await) {
            // What it could not tell the broker any more comes again, to others; the history shows whether it does.
            Err(error) if error.is_retryable() => Ok(()),
            ended => ended,
        }
    }

    /// As a process does that is started again.
    async fn join_again(&mut self) -> anybroker_core::Result<Box<dyn Consumer>> {
        self.held.clear();
        let (broker, subscription) = &self.again;
        let consumer = opened(|| broker.consumer(subscription.clone())).await?;
        self.settler = consumer.settler();
        Ok(consumer)
    }

    async fn treat(&mut self, batch: Vec<Delivery>) {
        self.let_go(&batch).await;
        let mut settlements = Vec::with_capacity(batch.len());
        for delivery in batch {
            if let Some(verdict) = self.verdict() {
                settlements.push(Settlement { delivery, verdict });
                continue;
            }
            if self.chance.below(u64::from(self.manners.hold + self.manners.release))
                < self.manners.hold.into()
            {
                self.number += 1;
                let due = Instant::now() + Duration::from_millis(self.manners.hold_ms);
                self.held.insert((due, self.number), delivery);
            }
        }
        if self.manners.shuffled {
            for at in (1..settlements.len()).rev() {
                settlements.swap(at, self.chance.below(at as u64 + 1) as usize);
            }
        }
        self.settle(settlements).await;
    }

    /// What is held and comes again is not held any more by the delivery before: acknowledged long after, it would seem to have been.
    async fn let_go(&mut self, batch: &[Delivery]) {
        let again = |held: &Delivery| batch.iter().any(|delivery| delivery.id() == held.id());
        let (gone, held) =
            std::mem::take(&mut self.held).into_iter().partition(|(_, delivery)| again(delivery));
        self.held = held;
        let gone: BTreeMap<_, Delivery> = gone;
        self.settle(gone.into_values().map(Settlement::ack).collect()).await;
    }

    /// What becomes of a delivery; none if it is held or released.
    fn verdict(&mut self) -> Option<Verdict> {
        let Manners { nack, dead_letter, hold, release, .. } = self.manners;
        let chance = self.chance.below(100) as u32;
        if chance < nack {
            let delay = Duration::from_millis(self.chance.below(self.manners.delay_ms + 1));
            Some(Verdict::Nack { delay })
        } else if chance < nack + dead_letter {
            Some(Verdict::DeadLetter { reason: "as chance has it".into() })
        } else if chance < nack + dead_letter + hold + release {
            None
        } else {
            Some(Verdict::Ack)
        }
    }

    /// Acknowledges what has been held long enough.
    async fn release_held(&mut self) {
        let later = self.held.split_off(&(Instant::now(), u64::MAX));
        let due = std::mem::replace(&mut self.held, later);
        self.settle(due.into_values().map(Settlement::ack).collect()).await;
    }

    async fn settle(&self, settlements: Vec<Settlement>) {
        if settlements.is_empty() {
            return;
        }
        let done = |settlement: &Settlement| {
            let done = matches!(settlement.verdict, Verdict::Ack | Verdict::DeadLetter { .. });
            done.then(|| settlement.delivery.id().map(|id| id.to_string()).unwrap_or_default())
        };
        let done: Vec<_> = settlements.iter().map(done).collect();
        // What is refused is not its own any more, and comes again.
        let results = self.settler.settle(settlements).await;
        for (id, result) in done.into_iter().zip(results) {
            if let (Some(id), Ok(_)) = (id, result) {
                self.progress.acknowledged(self.settler.group(), id);
            }
        }
    }
}
