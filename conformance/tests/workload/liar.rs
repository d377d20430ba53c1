//! A backend whose consumers lie.

use std::any::Any;
use std::sync::Arc;

use anybroker::{
    Admin, Backend, Broker, Consumer, Delivery, Group, Guarantees, Held, Publisher, PublisherOptions, Result,
    SettleError, Settled, Settlement, Settler, Standing, Subscription, Token, Topic, Verdict, async_trait,
};

/// The way in which it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lie {
    Nothing,
    Loses,
    TakesNackForAck,
    Reorders,
}

#[derive(Debug)]
pub(crate) struct Liar {
    broker: Broker,
    lie: Lie,
}

impl Liar {
    pub(crate) fn new(broker: Broker, lie: Lie) -> Self {
        Liar { broker, lie }
    }
}

#[async_trait]
impl Backend for Liar {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        self.broker.publisher(options).await
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        let consumer = self.broker.consumer(subscription).await?;
        Ok(Box::new(LyingConsumer { consumer, lie: self.lie, seen: 0 }))
    }

    async fn guarantees(&self, topic: Option<&Topic>, group: Option<&Group>) -> Result<Guarantees> {
        self.broker.guarantees(topic, group).await
    }

    fn admin(&self) -> &dyn Admin {
        self.broker.admin()
    }

    fn native(&self) -> Option<&(dyn Any + Send + Sync)> {
        None
    }

    async fn close(&self) -> Result<()> {
        self.broker.close().await
    }
}

#[derive(Debug)]
struct LyingConsumer {
    consumer: Box<dyn Consumer>,
    lie: Lie,
    seen: u64,
}

#[async_trait]
impl Consumer for LyingConsumer {
    async fn receive(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let mut told = Vec::new();
        for delivery in self.consumer.receive(max).await? {
            self.seen += 1;
            if self.lie == Lie::Loses && self.seen.is_multiple_of(20) {
                let _ = delivery.ack().await;
            } else {
                told.push(with(delivery, self.settler()));
            }
        }
        if self.lie == Lie::Reorders {
            told.reverse();
        }
        Ok(told)
    }

    fn settler(&self) -> Arc<dyn Settler> {
        match self.lie {
            Lie::TakesNackForAck => Arc::new(NackIsAck(self.consumer.settler())),
            _ => self.consumer.settler(),
        }
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.consumer.close().await
    }
}

fn with(mut delivery: Delivery, settler: Arc<dyn Settler>) -> Delivery {
    delivery.take_settler();
    delivery.with_settler(settler)
}

/// Acknowledges what ought to come again.
struct NackIsAck(Arc<dyn Settler>);

#[async_trait]
impl Settler for NackIsAck {
    async fn settle(&self, batch: Vec<Settlement>) -> Vec<Result<Settled, SettleError>> {
        let lie = |settlement: Settlement| Settlement {
            delivery: with(settlement.delivery, self.0.clone()),
            verdict: match settlement.verdict {
                Verdict::Nack { .. } => Verdict::Ack,
                other => other,
            },
        };
        self.0.settle(batch.into_iter().map(lie).collect()).await
    }

    async fn flush(&self) -> Result<Held> {
        self.0.flush().await
    }

    fn release(&self, token: Token) {
        self.0.release(token);
    }

    fn is_current(&self, token: Token) -> bool {
        self.0.is_current(token)
    }

    fn standing(&self, tokens: &[Token]) -> Vec<Standing> {
        self.0.standing(tokens)
    }

    fn topic(&self) -> &Topic {
        self.0.topic()
    }

    fn group(&self) -> &Group {
        self.0.group()
    }
}
