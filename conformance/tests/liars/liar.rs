//! A backend that lies in one way.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anybroker::kit::{Confirmations, Intake, Permit};
use anybroker::{
    Admin, Backend, Broker, Consumer, Delivery, Group, Guarantees, Held, Key, Message, Provenance, Publisher,
    PublisherOptions, Receipt, Record, RecordBuffer, Result, SettleError, Settled, Settlement, Settler,
    Subscription, Token, Topic, Verdict, async_trait,
};

/// The way in which it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lie {
    Nothing,
    LosesSome,
    ConfirmsWithoutStoring,
    TakesNackForAck,
    Reorders,
    Truncates,
    RepeatsAcknowledged,
    HidesAttempts,
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
        let intake = Intake::new(&options, 1 << 20);
        let publisher = self.broker.publisher(options).await?;
        Ok(Arc::new(LyingPublisher { publisher, intake, lie: self.lie, calls: AtomicU64::new(0) }))
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
struct LyingPublisher {
    publisher: Arc<dyn Publisher>,
    intake: Intake,
    lie: Lie,
    calls: AtomicU64,
}

#[async_trait]
impl Publisher for LyingPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.publisher.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.lie == Lie::ConfirmsWithoutStoring && call % 20 == 19 {
            let (accepted, confirmations) = self.intake.accept(permit, batch);
            accepted.into_iter().for_each(|pending| pending.confirm(Receipt::default()));
            return confirmations;
        }
        self.publisher.enqueue(permit, batch)
    }

    async fn flush(&self) -> Result<()> {
        self.publisher.flush().await
    }

    fn resume(&self, key: &Key) {
        self.publisher.resume(key);
    }

    fn topic(&self) -> &Topic {
        self.publisher.topic()
    }

    async fn close(&self) -> Result<()> {
        self.publisher.close().await
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
        let mut batch = self.consumer.receive(max).await?;
        if self.lie == Lie::Reorders {
            batch.reverse();
        }
        let mut told = Vec::new();
        for delivery in batch {
            self.seen += 1;
            match self.lie {
                Lie::LosesSome if self.seen.is_multiple_of(100) => drop(delivery.ack().await),
                Lie::RepeatsAcknowledged if self.seen.is_multiple_of(50) => {
                    let (record, token) = (delivery.record().clone(), delivery.token());
                    let settler = self.settler();
                    let _ = delivery.ack().await;
                    told.push(again(&record, token, 0, settler.clone()));
                    told.push(again(&record, token, 1, settler));
                }
                Lie::Truncates if self.seen.is_multiple_of(50) => told.push(changed(delivery, truncated)),
                Lie::HidesAttempts => told.push(changed(delivery, first)),
                Lie::TakesNackForAck => told.push(with(delivery, self.settler())),
                _ => told.push(delivery),
            }
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

/// A delivery of a message that is done already.
fn again(record: &Record, token: Token, time: u32, inner: Arc<dyn Settler>) -> Delivery {
    let token = Token { handout: token.handout + 1_000 + time, attempt: 1 + time, ..token };
    Delivery::new(record.clone(), token, Provenance::default(), Arc::new(Shrug(inner)))
}

fn truncated(record: &Record, token: Token) -> (Record, Token) {
    let mut message = record.to_message();
    message.payload = message.payload.slice(..message.payload.len() - 1);
    (RecordBuffer::new().encode(&message), token)
}

fn first(record: &Record, token: Token) -> (Record, Token) {
    (record.clone(), Token { attempt: 1, ..token })
}

fn changed(mut delivery: Delivery, change: fn(&Record, Token) -> (Record, Token)) -> Delivery {
    let (record, token) = change(delivery.record(), delivery.token());
    let position = delivery.position();
    let settler = delivery.take_settler().expect("it is not settled");
    Delivery::new(record, token, Provenance { position, stored: 0, redelivered: false }, settler)
}

/// Acknowledges what ought to come again.
struct NackIsAck(Arc<dyn Settler>);

#[async_trait]
impl Settler for NackIsAck {
    async fn settle(&self, batch: Vec<Settlement>) -> Vec<Result<Settled, SettleError>> {
        let lie = |mut settlement: Settlement| {
            if matches!(settlement.verdict, Verdict::Nack { .. }) {
                settlement.verdict = Verdict::Ack;
            }
            Settlement { delivery: with(settlement.delivery, self.0.clone()), verdict: settlement.verdict }
        };
        self.0.settle(batch.into_iter().map(lie).collect()).await
    }

    async fn flush(&self) -> Result<Held> {
        self.0.flush().await
    }

    fn release(&self, token: Token) {
        self.0.release(token);
    }

    fn topic(&self) -> &Topic {
        self.0.topic()
    }

    fn group(&self) -> &Group {
        self.0.group()
    }
}

/// Agrees to everything and does nothing.
struct Shrug(Arc<dyn Settler>);

#[async_trait]
impl Settler for Shrug {
    async fn settle(&self, batch: Vec<Settlement>) -> Vec<Result<Settled, SettleError>> {
        let shrug = |mut settlement: Settlement| {
            settlement.delivery.take_settler();
            Ok(Settled::Recorded)
        };
        batch.into_iter().map(shrug).collect()
    }

    async fn flush(&self) -> Result<Held> {
        self.0.flush().await
    }

    fn release(&self, _token: Token) {}

    fn topic(&self) -> &Topic {
        self.0.topic()
    }

    fn group(&self) -> &Group {
        self.0.group()
    }
}
