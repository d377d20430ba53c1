//! The lying settler.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anybroker_core::{
    Delivery, Error, Group, Held, Kind, Record, Result, SettleError, Settled, Settlement, Settler, Token,
    Topic, Verdict, async_trait,
};

use super::aside::{Aside, lock};
use super::handed::{Behind, Handed};
use super::lie::Answer;
use super::world::{Telling, World};

pub(super) struct LyingSettler {
    settler: Arc<dyn Settler>,
    world: Arc<World>,
    group: Arc<Aside>,
    telling: Telling,
    /// What the application holds, by the sequence of its token.
    held: Mutex<HashMap<u64, Handed>>,
    /// What was taken from the broker and does not fit into a batch.
    ready: Mutex<VecDeque<Handed>>,
}

impl LyingSettler {
    pub(super) fn new(
        settler: Arc<dyn Settler>,
        world: Arc<World>,
        group: Arc<Aside>,
        telling: Telling,
    ) -> Self {
        LyingSettler { settler, world, group, telling, held: Mutex::default(), ready: Mutex::default() }
    }

    pub(super) fn hold(&self, token: Token, handed: Handed) {
        lock(&self.held).insert(token.sequence, handed);
    }

    pub(super) fn keep_ready(&self, batch: Vec<Handed>) {
        lock(&self.ready).extend(batch);
    }

    /// Takes some of what is ready.
    pub(super) fn ready(&self, max: usize) -> Vec<Handed> {
        let mut ready = lock(&self.ready);
        let most = max.min(ready.len());
        ready.drain(..most).collect()
    }

    /// Takes a batch; what is void goes along with what it repeats.
    pub(super) fn batch(&self, max: usize) -> Vec<Handed> {
        let mut batch = self.ready(max);
        let mut ready = lock(&self.ready);
        while let Some(void) = ready.pop_front_if(|it| matches!(it.behind, Behind::Nothing)) {
            batch.push(void);
        }
        batch
    }

    /// A message was put back: what follows in its key is void, and comes again after it.
    fn put_back(&self, record: &Record, place: (u32, u64)) {
        let void = |it: &Handed| {
            matches!(it.behind, Behind::Broker(_))
                && it.record.key() == record.key()
                && (it.partition, it.offset) > place
        };
        lock(&self.ready).retain(|it| !void(it));
        self.group.forget(void);
    }

    /// Everything that is held, in the order in which it was handed out.
    pub(super) fn take_all(&self) -> Vec<Handed> {
        let mut held: Vec<_> = lock(&self.held).drain().collect();
        held.sort_unstable_by_key(|(sequence, _)| *sequence);
        held.into_iter().map(|(_, handed)| handed).collect()
    }

    fn take(&self, token: Token) -> Option<Handed> {
        lock(&self.held).remove(&token.sequence)
    }

    /// A delivery is settled in a transaction: gives the broker's own, if that is what stands behind it.
    pub(super) fn enlist(&self, mut delivery: Delivery) -> Delivery {
        match self.take(delivery.token()).map(|handed| handed.behind) {
            Some(Behind::Broker(behind)) => {
                delivery.take_settler();
                behind
            }
            _ => delivery,
        }
    }

    async fn one(&self, mut delivery: Delivery, verdict: Verdict) -> Result<Settled, SettleError> {
        let own = delivery.take_settler();
        let Some(handed) = self.take(delivery.token()) else {
            let text = "the session has ended, or it is settled";
            return Err(SettleError::new(Error::new(Kind::Closed, "settle", text), delivery));
        };
        match self.world.lie.settle(&self.group, handed, verdict) {
            Answer::Say(settled) => Ok(self.told(settled)),
            Answer::Refuse(error) => Err(SettleError::new(error, delivery)),
            Answer::Pass(handed, verdict) => match self.pass(handed, verdict).await {
                Ok(settled) => Ok(self.told(settled)),
                Err((error, None)) => Err(SettleError::new(error, delivery)),
                Err((error, Some(handed))) => {
                    self.hold(delivery.token(), handed);
                    let delivery = match own {
                        Some(own) => delivery.with_settler(own),
                        None => delivery,
                    };
                    Err(SettleError::new(error, delivery))
                }
            },
        }
    }

    /// Settles at whatever stands behind a message; what is refused and still held comes back.
    async fn pass(&self, handed: Handed, verdict: Verdict) -> Result<Settled, (Error, Option<Handed>)> {
        let Handed { record, member, partition, generation, offset, stored, attempt, redelivered, behind } =
            handed;
        let with = |record, behind| Handed {
            record,
            member,
            partition,
            generation,
            offset,
            stored,
            attempt,
            redelivered,
            behind,
        };
        let mut delivery = match behind {
            Behind::Nothing => return Err((Error::new(Kind::Superseded, "settle", "it is void"), None)),
            Behind::Liar => return Ok(self.own(with(record, Behind::Liar), verdict)),
            Behind::Broker(delivery) => delivery,
        };
        if matches!(verdict, Verdict::Nack { .. } | Verdict::Release) {
            self.put_back(&record, (partition, offset));
        }
        let settler = delivery.take_settler().unwrap_or_else(|| self.settler.clone());
        let settlement = Settlement { delivery: delivery.with_settler(settler.clone()), verdict };
        match settler.settle(vec![settlement]).await.pop() {
            Some(Err(refused)) => {
                let (error, mut delivery) = refused.into_parts();
                let still = delivery.take_settler();
                Err((
                    error,
                    still.map(|settler| with(record, Behind::Broker(delivery.with_settler(settler)))),
                ))
            }
            Some(Ok(settled)) => Ok(settled),
            None => Ok(Settled::Recorded),
        }
    }

    /// Settles what the liar delivers by itself.
    fn own(&self, handed: Handed, verdict: Verdict) -> Settled {
        match verdict {
            Verdict::Ack | Verdict::DeadLetter { .. } => {}
            Verdict::Nack { delay } => self.group.put_back(handed, delay, true),
            Verdict::Release => self.group.put_back(handed, Duration::ZERO, false),
        }
        Settled::Confirmed
    }

    fn told(&self, settled: Settled) -> Settled {
        if self.telling.confirms { settled } else { Settled::Recorded }
    }
}

#[async_trait]
impl Settler for LyingSettler {
    async fn settle(&self, batch: Vec<Settlement>) -> Vec<Result<Settled, SettleError>> {
        let mut results = Vec::with_capacity(batch.len());
        self.world.running().await;
        for Settlement { delivery, verdict } in batch {
            results.push(self.one(delivery, verdict).await);
        }
        results
    }

    async fn flush(&self) -> Result<Held> {
        self.settler.flush().await
    }

    fn release(&self, token: Token) {
        let Some(handed) = self.take(token) else { return };
        match self.world.lie.release(&self.group, handed) {
            Some(handed) if matches!(handed.behind, Behind::Liar) => {
                self.group.put_back(handed, Duration::ZERO, false);
            }
            // Dropping it releases it at the broker.
            Some(handed) => {
                self.put_back(&handed.record, (handed.partition, handed.offset));
                drop(handed);
            }
            None => {}
        }
    }

    fn context(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(self)
    }

    fn topic(&self) -> &Topic {
        self.settler.topic()
    }

    fn group(&self) -> &Group {
        self.settler.group()
    }
}

impl std::fmt::Debug for LyingSettler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LyingSettler").field("group", &self.group.name).finish_non_exhaustive()
    }
}
