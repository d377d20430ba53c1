//! The watched consumer, and the settler that its deliveries carry.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use anybroker_core::{
    Consumer, Delivery, Group, Held, Result, SettleError, Settled, Settlement, Settler, Standing, Token,
    Topic, Verdict, async_trait,
};

use super::{Watch, label};

#[derive(Debug)]
pub(super) struct WatchedConsumer {
    consumer: Box<dyn Consumer>,
    settler: Arc<WatchedSettler>,
}

struct WatchedSettler {
    me: Weak<WatchedSettler>,
    settler: Arc<dyn Settler>,
    watch: Watch,
    /// The numbers of the messages that are held.
    held: Mutex<HashMap<Token, usize>>,
}

impl WatchedConsumer {
    pub(super) fn new(consumer: Box<dyn Consumer>, watch: Watch) -> Self {
        let settler = consumer.settler();
        let settler =
            Arc::new_cyclic(|me| WatchedSettler { me: me.clone(), settler, watch, held: Mutex::default() });
        WatchedConsumer { consumer, settler }
    }
}

#[async_trait]
impl Consumer for WatchedConsumer {
    async fn receive(&mut self, max: usize) -> Result<Vec<Delivery>> {
        match self.consumer.receive(max).await {
            Ok(batch) => Ok(batch.into_iter().map(|delivery| self.settler.delivered(delivery)).collect()),
            Err(error) => {
                self.settler.watch.tell(format!("receives nothing: {error}"));
                Err(error)
            }
        }
    }

    fn settler(&self) -> Arc<dyn Settler> {
        self.settler.clone()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.settler.watch.tell("leaves its group".into());
        self.consumer.close().await
    }
}

impl Watch {
    fn tell(&self, text: String) {
        self.journal.tell(&self.who, text);
    }
}

impl WatchedSettler {
    fn held(&self) -> MutexGuard<'_, HashMap<Token, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of a delivery, and puts itself into it.
    fn delivered(&self, mut delivery: Delivery) -> Delivery {
        let number = delivery.id().map_or(0, |id| self.watch.journal.number(&id, delivery.payload()));
        self.held().insert(delivery.token(), number);
        let label = label(number, delivery.payload(), delivery.key());
        let times = self.watch.journal.delivered(number, self.settler.group());
        let again = if times > 1 { format!(" again ({times} times by now)") } else { String::new() };
        let mark = if delivery.redelivered() { ", marked as a redelivery" } else { "" };
        let text = format!("receives {label}{again}{mark}");
        if times > 1 {
            self.watch.journal.unusual(&self.watch.who, number, text);
        } else {
            self.watch.journal.message(&self.watch.who, number, text);
        }
        // The inner one is put back in when it is settled.
        delivery.take_settler();
        match self.me.upgrade() {
            Some(me) => delivery.with_settler(me),
            None => delivery,
        }
    }

    fn settles(&self, number: usize, verdict: &Verdict) {
        let text = match verdict {
            Verdict::Ack => format!("acknowledges #{number}"),
            Verdict::Nack { .. } => format!("negatively acknowledges #{number}"),
            Verdict::DeadLetter { reason } => format!("dead-letters #{number}: {reason}"),
            Verdict::Release => format!("releases #{number}"),
        };
        self.watch.journal.message(&self.watch.who, number, text);
    }

    /// A delivery that came back and is still held is settled through this one again.
    fn settled(&self, number: usize, result: Result<Settled, SettleError>) -> Result<Settled, SettleError> {
        let refused = match result {
            Ok(settled) => return Ok(settled),
            Err(refused) => refused,
        };
        let (error, mut delivery) = refused.into_parts();
        self.watch.journal.unusual(&self.watch.who, number, format!("cannot settle #{number}: {error}"));
        let delivery = match (delivery.take_settler(), self.me.upgrade()) {
            (Some(_), Some(me)) => {
                self.held().insert(delivery.token(), number);
                delivery.with_settler(me)
            }
            _ => delivery,
        };
        Err(SettleError::new(error, delivery))
    }
}

#[async_trait]
impl Settler for WatchedSettler {
    async fn settle(&self, batch: Vec<Settlement>) -> Vec<Result<Settled, SettleError>> {
        let mut numbers = Vec::with_capacity(batch.len());
        let mut unwrapped = Vec::with_capacity(batch.len());
        for Settlement { mut delivery, verdict } in batch {
            let number = self.held().remove(&delivery.token()).unwrap_or(0);
            self.settles(number, &verdict);
            numbers.push(number);
            delivery.take_settler();
            unwrapped.push(Settlement { delivery: delivery.with_settler(self.settler.clone()), verdict });
        }
        let results = self.settler.settle(unwrapped).await;
        numbers.into_iter().zip(results).map(|(number, result)| self.settled(number, result)).collect()
    }

    async fn flush(&self) -> Result<Held> {
        self.settler.flush().await
    }

    fn release(&self, token: Token) {
        if let Some(number) = self.held().remove(&token) {
            self.settles(number, &Verdict::Release);
        }
        self.settler.release(token);
    }

    fn is_current(&self, token: Token) -> bool {
        self.settler.is_current(token)
    }

    fn standing(&self, tokens: &[Token]) -> Vec<Standing> {
        self.settler.standing(tokens)
    }

    fn context(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.settler.context()
    }

    fn topic(&self) -> &Topic {
        self.settler.topic()
    }

    fn group(&self) -> &Group {
        self.settler.group()
    }
}

impl std::fmt::Debug for WatchedSettler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchedSettler").field("who", &self.watch.who).finish_non_exhaustive()
    }
}
