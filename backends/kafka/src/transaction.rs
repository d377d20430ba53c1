//! Transactions: what is read, published and acknowledged together, over librdkafka's transactional producer.

use std::collections::HashMap;
use std::fmt;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anybroker_core::kit::{Inputs, Link, within};
use anybroker_core::{
    Basis, Delivery, Error, Fate, Kind, Message, Requirements, Result, Topic, Transaction,
    TransactionOptions, TransactionalId, TransactionalPublisher,
};
use async_trait::async_trait;
use rdkafka::ClientConfig;
use tokio::sync::oneshot;

use crate::blocking;
use crate::cluster::Cluster;
use crate::config::KafkaConfig;
use crate::connect;
use crate::guarantees;
use crate::link::LoopLink;
use crate::transactor::{Order, Setup, Tally, Transactor};

/// librdkafka's bounds of a transaction's time-out.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(i32::MAX as u64));

/// The way to the thread of a transactional publisher.
pub(crate) struct Orders {
    sender: Sender<Order>,
    request_timeout: Duration,
    timeout: Duration,
}

impl Orders {
    async fn ask(
        &self,
        operation: &'static str,
        order: impl FnOnce(oneshot::Sender<Result<()>>) -> Order,
    ) -> Result<()> {
        let closed = || Error::new(Kind::Closed, operation, "the transactional publisher is closed");
        let (answer, answered) = oneshot::channel();
        self.sender.send(order(answer)).map_err(|_| closed())?;
        // Each call bounds itself; what was ordered before it may have to end first.
        let deadline = (self.timeout + self.request_timeout * 3) * 2;
        within(deadline, operation, async { answered.await.unwrap_or_else(|_| Err(closed())) }).await
    }

    /// Aborts what is open, and ends the thread.
    ///
    /// # Errors
    /// `TimedOut`, `Disconnected`: the broker has not heard of the abort.
    ///
    /// # Cancel safety
    /// A cancelled call goes on in the background.
    pub(crate) async fn close(&self) -> Result<()> {
        match self.ask("close", Order::Close).await {
            Err(error) if error.kind() == Kind::Closed => Ok(()),
            closed => closed,
        }
    }
}

/// The holder of a transactional id.
pub(crate) struct KafkaTransactions {
    id: TransactionalId,
    requirements: Requirements,
    cluster: Arc<Cluster>,
    orders: Arc<Orders>,
    tally: Arc<Tally>,
    /// How large the batches are that the topics take. Held while a publish is put in line, so that they keep their order.
    topics: tokio::sync::Mutex<HashMap<Topic, usize>>,
}

impl KafkaTransactions {
    /// Takes the id. Blocks, within twice the request's deadline.
    ///
    /// # Errors
    /// `Unmet`, `InvalidConfiguration`, and whatever taking the id fails with.
    pub(crate) fn open(cluster: Arc<Cluster>, options: TransactionOptions) -> Result<(Self, Arc<Orders>)> {
        let TransactionOptions { id, timeout, requirements } = options;
        let place = format!("transactional id `{id}`");
        let given = guarantees::probe(&cluster, None)?;
        // What only a topic decides is looked at with the first publish to it.
        if requirements.unmet(&given).iter().any(|row| row.basis != Basis::Unknown) {
            requirements.verify(&given, &place)?;
        }
        let setup = Setup {
            native: settings(&cluster.config, &id, timeout).map_err(|error| error.on(place.clone()))?,
            brokers: cluster.config.brokers.clone(),
            request_timeout: cluster.config.request_timeout,
            timeout,
        };
        let transactor = Transactor::open(setup).map_err(|error| error.on(place))?;
        let (tally, (sender, orders)) = (transactor.tally(), channel());
        blocking::spawn("kafka-transactions", move || transactor.run(&orders))?;
        let orders = Arc::new(Orders { sender, request_timeout: cluster.config.request_timeout, timeout });
        let publisher = KafkaTransactions {
            id,
            requirements,
            cluster,
            orders: orders.clone(),
            tally,
            topics: tokio::sync::Mutex::default(),
        };
        Ok((publisher, orders))
    }

    async fn publish(&self, topic: &Topic, batch: Vec<Message>) -> Result<()> {
        let mut topics = self.topics.lock().await;
        if self.tally.observer.take_disturbed() {
            // What the topics give is looked at again.
            topics.clear();
        }
        let largest = match topics.get(topic) {
            Some(largest) => *largest,
            None => {
                let facts = connect::prepare(&self.cluster, "publish", topic, &self.requirements).await?;
                let largest = facts.max_message_bytes().unwrap_or(guarantees::DEFAULT_MAX_MESSAGE_BYTES);
                *topics.entry(topic.clone()).or_insert(largest)
            }
        };
        let published =
            self.orders.ask("publish", |answer| Order::Publish(topic.clone(), largest, batch, answer));
        let mut published = std::pin::pin!(published);
        // The first poll puts it in line.
        let answer = futures::poll!(&mut published);
        drop(topics);
        match answer {
            std::task::Poll::Ready(answer) => answer,
            std::task::Poll::Pending => published.await,
        }
    }
}

fn settings(config: &KafkaConfig, id: &TransactionalId, timeout: Duration) -> Result<ClientConfig> {
    if timeout < TIMEOUTS.0 || timeout > TIMEOUTS.1 {
        let text =
            format!("a transaction may take {:?} to {:?}, and not {timeout:?}", TIMEOUTS.0, TIMEOUTS.1);
        return Err(Error::new(Kind::InvalidConfiguration, "open a transactional publisher", text));
    }
    let mut native = config.base();
    native
        .set("transactional.id", id.as_str())
        .set("transaction.timeout.ms", timeout.as_millis().to_string())
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight", "5")
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", config.message_timeout.min(timeout).as_millis().to_string())
        .set("linger.ms", config.linger.as_millis().to_string())
        // Each topic's own limit is looked at before.
        .set("message.max.bytes", "1000000000");
    Ok(native)
}

#[async_trait]
impl TransactionalPublisher for KafkaTransactions {
    async fn begin(&mut self) -> Result<Box<dyn Transaction + '_>> {
        let on = format!("transactional id `{}`", self.id);
        self.orders.ask("begin", Order::Begin).await.map_err(|error| error.on(on))?;
        let deadline = Instant::now() + self.orders.timeout;
        Ok(Box::new(KafkaTransaction { publisher: self, deadline, open: Mutex::default(), ended: false }))
    }

    fn id(&self) -> &TransactionalId {
        &self.id
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.orders.close().await
    }
}

impl fmt::Debug for KafkaTransactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaTransactions").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A transaction that is open.
#[derive(Debug)]
struct KafkaTransaction<'a> {
    publisher: &'a KafkaTransactions,
    deadline: Instant,
    open: Mutex<Open>,
    /// The broker has been told of its end.
    ended: bool,
}

#[derive(Debug, Default)]
struct Open {
    inputs: Inputs,
    /// Publishes that have not come to their end; none once it is committed, unless one was cancelled.
    publishing: usize,
    doomed: Option<Error>,
}

impl Open {
    fn doom(&mut self, error: &Error) {
        *self = Open { doomed: Some(error.duplicate()), publishing: self.publishing, ..Open::default() };
    }
}

impl KafkaTransaction<'_> {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It can go on.
    fn check(&self, operation: &'static str) -> Result<MutexGuard<'_, Open>> {
        let mut open = self.open();
        if open.doomed.is_none() && Instant::now() >= self.deadline {
            let text =
                format!("it was not committed within {:?}, and is aborted", self.publisher.orders.timeout);
            open.doom(&Error::new(Kind::TimedOut, operation, text).with_fate(Fate::NotApplied));
        }
        match &open.doomed {
            Some(error) => Err(error.duplicate()),
            None => Ok(open),
        }
    }

    /// A failure dooms all of it; so nothing of it is applied.
    fn end(&self, done: Result<()>) -> Result<()> {
        done.map_err(|error| {
            let error = error.with_fate(Fate::NotApplied);
            self.open().doom(&error);
            error
        })
    }

    /// The inputs, if nothing stands against a commit.
    fn inputs(&self) -> Result<Inputs> {
        let mut open = self.check("commit")?;
        if open.publishing > 0 {
            let text = "a publish was cancelled, and a part of its batch may be in the transaction";
            open.doom(&Error::new(Kind::Closed, "commit", text));
        }
        match &open.doomed {
            Some(error) => Err(error.duplicate()),
            None => Ok(std::mem::take(&mut open.inputs)),
        }
    }
}

#[async_trait]
impl Transaction for KafkaTransaction<'_> {
    async fn publish(&self, topic: &Topic, batch: Vec<Message>) -> Result<()> {
        self.check("publish")?.publishing += 1;
        let published = self.publisher.publish(topic, batch).await;
        self.open().publishing -= 1;
        self.end(published.map_err(|error| error.on(format!("topic `{topic}`"))))
    }

    async fn settle(&self, batch: Vec<Delivery>) -> Result<()> {
        let ours = |link: &dyn Link| {
            let link = (link as &dyn std::any::Any).downcast_ref::<LoopLink>();
            link.is_some_and(|link| link.is_of(&self.publisher.cluster))
        };
        let taken = self.check("settle")?.inputs.take(batch, ours);
        self.end(taken)
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let orders = &self.publisher.orders;
        let inputs = match self.inputs() {
            Ok(inputs) => inputs,
            Err(error) => {
                self.abort().await.unwrap_or_else(|error| tracing::debug!(%error, "an abort failed"));
                return Err(error);
            }
        };
        self.ended = true;
        let on = format!("transactional id `{}`", self.publisher.id);
        orders.ask("commit", |answer| Order::Commit(inputs, answer)).await.map_err(|error| error.on(on))
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        *self.open() = Open::default();
        self.ended = true;
        self.publisher.orders.ask("abort", Order::Abort).await
    }
}

impl Drop for KafkaTransaction<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // Nobody waits for the answer.
            let _ = self.publisher.orders.sender.send(Order::Abort(oneshot::channel().0));
        }
    }
}
