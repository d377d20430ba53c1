//! A backend of your own, in one file: `cargo run -p first-steps --bin own_backend`.
//!
//! This "broker" is a list behind a mutex, with one group that reads it. Everything hard (order per key across negative
//! acknowledgements, attempts, the bounded window, cancel safety) comes from the kit; the adapter moves records and
//! acknowledgements, and says honestly what it promises.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker::kit::{Ack, Confirmations, Incoming, Intake, Link, Permit, Session};
use anybroker::*;
use tokio::sync::Notify;

/// The broker: what was published, and how much of it is acknowledged.
#[derive(Debug, Default)]
struct List {
    records: Mutex<Vec<(Record, bool)>>,
    grown: Notify,
}

impl List {
    fn records(&self) -> MutexGuard<'_, Vec<(Record, bool)>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct ListBroker(Arc<List>);

#[async_trait]
impl Backend for ListBroker {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        options.requirements.verify(&guarantees(), "the list")?;
        Ok(Arc::new(ListPublisher { intake: Intake::new(&options, 1 << 20), list: self.0.clone() }))
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        subscription.requirements.verify(&guarantees(), "the list")?;
        let session = Session::new(subscription, None, None);
        let link = Arc::new(ListLink(self.0.clone()));
        // Ends with its session, which ends when the consumer is closed or dropped.
        tokio::spawn(fetch(self.0.clone(), session.clone()));
        Ok(Box::new(session.connect(link)))
    }

    async fn guarantees(&self, _topic: Option<&Topic>, _group: Option<&Group>) -> Result<Guarantees> {
        Ok(guarantees())
    }

    fn admin(&self) -> &dyn Admin {
        self
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct ListPublisher {
    intake: Intake,
    list: Arc<List>,
}

#[async_trait]
impl Publisher for ListPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.intake.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let (accepted, confirmations) = self.intake.accept(permit, batch);
        for pending in accepted {
            let Some(record) = pending.message().map(|message| RecordBuffer::new().encode(message)) else {
                continue;
            };
            let mut records = self.list.records();
            records.push((record, false));
            let position = Position { partition: 0, offset: records.len() as u64 - 1 };
            pending.confirm(Receipt { position: Some(position), duplicate: false });
        }
        self.list.grown.notify_one();
        confirmations
    }

    async fn flush(&self) -> Result<()> {
        self.intake.idle(Duration::from_secs(1)).await
    }

    fn resume(&self, key: &Key) {
        self.intake.resume(key);
    }

    fn topic(&self) -> &Topic {
        self.intake.topic()
    }

    async fn close(&self) -> Result<()> {
        self.intake.close();
        Ok(())
    }
}

/// The fetch task: hands the session what it has room for, from the first record not acknowledged.
async fn fetch(list: Arc<List>, session: Arc<Session>) {
    let generation = session.assign(0);
    let mut next = 0;
    while session.ended().is_none() {
        let room = session.room().messages;
        let records: Vec<_> =
            list.records().iter().enumerate().skip(next).take(room).map(|(at, r)| (at, r.clone())).collect();
        for (at, (record, acknowledged)) in records {
            next = at + 1;
            if !acknowledged {
                let native = at as u64;
                let incoming = Incoming {
                    record,
                    native,
                    offset: Some(native),
                    stored: 0,
                    attempts: 0,
                    redelivered: false,
                };
                session.push(0, generation, incoming);
            }
        }
        tokio::select! {
            () = list.grown.notified() => {}
            () = session.settlement() => {}
        }
    }
}

struct ListLink(Arc<List>);

#[async_trait]
impl Link for ListLink {
    fn confirms(&self) -> bool {
        true
    }

    async fn acknowledge(&self, acks: &[Ack]) -> Vec<Result<Settled>> {
        let mut records = self.0.records();
        for ack in acks {
            // What was purged meanwhile needs no acknowledgement.
            if let Some((_, acknowledged)) = records.get_mut(ack.native as usize) {
                *acknowledged = true;
            }
        }
        acks.iter().map(|_| Ok(Settled::Confirmed)).collect()
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Admin for ListBroker {
    async fn declare(&self, _topology: &Topology) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, _topic: &Topic) -> Result<()> {
        self.purge(_topic).await
    }

    async fn purge(&self, _topic: &Topic) -> Result<()> {
        self.0.records().clear();
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        Err(Error::new(Kind::Unsupported, "topics", "there is one list, and it has no name"))
    }

    async fn backlog(&self, _topic: &Topic, _group: &Group) -> Result<u64> {
        Ok(self.0.records().iter().filter(|(_, acknowledged)| !acknowledged).count() as u64)
    }

    async fn health(&self) -> Result<Duration> {
        Ok(Duration::ZERO)
    }
}

/// Every row is a decision; leaving one out does not compile.
fn guarantees() -> Guarantees {
    fn row<T: Level>(value: T) -> Row<T> {
        Row::new(value, Basis::Client, "this file")
    }
    Guarantees {
        backend: "list",
        version: None,
        ordering: row(Scope::Key).because("a message that failed lets other keys go on"),
        order_after_redelivery: row(Kept::Yes).because("the kit redelivers before later messages of the key"),
        order_across_consumers: row(Kept::No).because("every consumer reads the whole list"),
        order_after_member_death: row(Kept::Yes),
        order_after_failed_publish: row(AfterFailure::Held),
        delivery: row(DeliveryLevel::AtLeastOnce),
        unsubscribed_publish: row(Unsubscribed::Kept),
        publish_confirmation: row(Confirmation::Confirmed),
        durability_on_confirm: row(Durability::Memory),
        acknowledgement: row(Acknowledgement::Individual),
        settlement: row(Certainty::Confirmed),
        redelivery: row(Redelivery::Unmarked).because("attempts are not kept when a consumer ends"),
        exclusivity: row(Exclusivity::None),
        deduplication: row(Deduplication::None),
        dead_letter: row(DeadLetter::None),
        fan_out: row(FanOut::None),
        replay: row(Replay::None),
        lease: row(Lease::Session),
        delay: row(Delay::Redelivery),
        transactions: row(Transactions::None),
        limits: Limits::default(),
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let broker: Broker = Arc::new(ListBroker::default());
    let (topic, group) = (Topic::new("list")?, Group::new("readers")?);
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
    for text in ["first", "second"] {
        publisher.publish(Message::new(text).with_key("k")).await?;
    }
    let needs = Requirements::new().ordering(Scope::Key).delivery(DeliveryLevel::AtLeastOnce);
    let mut consumer =
        broker.consumer(Subscription::new(topic.clone(), group.clone()).require(needs)).await?;
    consumer.next().await?.nack(Duration::ZERO).await?;
    for _ in 0..2 {
        let delivery = consumer.next().await?;
        println!("{} (attempt {})", String::from_utf8_lossy(delivery.payload()), delivery.attempt());
        delivery.ack().await?;
    }
    println!("left: {}", broker.admin().backlog(&topic, &group).await?);
    consumer.close().await
}
