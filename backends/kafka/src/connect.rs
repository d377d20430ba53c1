//! The backend: one control connection, a supervisor, and the publishers and consumers that it opened.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anybroker_core::{
    Admin, Backend, Broker, BrokerUrl, Consumer, Error, Group, Guarantees, Kind, Publisher, PublisherOptions,
    Requirements, Result, Subscription, Topic, TopologyMode, TransactionOptions, TransactionalPublisher,
};
use async_trait::async_trait;
use futures::future::join_all;

use crate::admin::KafkaAdmin;
use crate::blocking::{self, Owned};
use crate::cluster::Cluster;
use crate::config::KafkaConfig;
use crate::guarantees::{self, Facts};
use crate::link::LoopLink;
use crate::producers::Producers;
use crate::publisher::KafkaPublisher;
use crate::supervise::Supervisor;
use crate::transaction::{KafkaTransactions, Orders};
use crate::{consumer, topology};

/// Connects to the cluster that the URL names.
///
/// # Errors
/// `InvalidConfiguration` for a mistake in the URL; `Disconnected`, `TimedOut` if no broker answers;
/// `PermissionDenied` if the login is refused.
///
/// # Cancel safety
/// A cancelled call leaves no connection behind once its deadline has passed.
pub async fn connect(url: &BrokerUrl) -> Result<Broker> {
    connect_with(KafkaConfig::from_url(url)?).await
}

/// Connects to the cluster that `config` describes.
///
/// # Errors
/// As [`connect`].
///
/// # Cancel safety
/// As [`connect`].
pub async fn connect_with(config: KafkaConfig) -> Result<Broker> {
    config.check()?;
    let timeout = config.connect_timeout;
    let cluster = blocking::run(timeout, "connect", move || Cluster::connect(config)).await?;
    let cluster = Arc::new(cluster);
    let supervisor = Arc::new(Supervisor::default());
    let (watching, watched) = (supervisor.clone(), cluster.clone());
    let thread = blocking::spawn("kafka-supervise", move || watching.run(&watched))?;
    Ok(Arc::new(Kafka {
        admin: KafkaAdmin::new(cluster.clone()),
        producers: Arc::new(Producers::new(cluster.config.clone())),
        cluster,
        supervisor,
        thread: Mutex::new(Some(thread)),
        publishers: Mutex::default(),
        consumers: Mutex::default(),
        transactions: Mutex::default(),
        closed: AtomicBool::new(false),
    }))
}

struct Kafka {
    cluster: Arc<Cluster>,
    admin: KafkaAdmin,
    producers: Arc<Producers>,
    supervisor: Arc<Supervisor>,
    thread: Mutex<Option<Owned>>,
    publishers: Mutex<Vec<Weak<KafkaPublisher>>>,
    consumers: Mutex<Vec<Weak<LoopLink>>>,
    transactions: Mutex<Vec<Weak<Orders>>>,
    closed: AtomicBool,
}

/// Keeps a weak reference, and forgets those whose owners have gone.
fn remember<T>(all: &Mutex<Vec<Weak<T>>>, one: &Arc<T>) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|one| one.strong_count() > 0);
    all.push(Arc::downgrade(one));
}

fn open<T>(all: &Mutex<Vec<Weak<T>>>) -> Vec<Arc<T>> {
    let all = std::mem::take(&mut *all.lock().unwrap_or_else(PoisonError::into_inner));
    all.iter().filter_map(Weak::upgrade).collect()
}

/// Closes all at once, since each may wait for as long as the broker is away; the first error of them.
async fn all(closing: impl Iterator<Item = impl Future<Output = Result<()>>>) -> Result<()> {
    join_all(closing).await.into_iter().collect()
}

impl Kafka {
    fn check_open(&self, operation: &'static str) -> Result<()> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(Error::new(Kind::Closed, operation, "the broker handle is closed")),
            false => Ok(()),
        }
    }

    async fn open_publisher(&self, options: PublisherOptions) -> Result<Arc<KafkaPublisher>> {
        let operation = "open a publisher";
        self.check_open(operation)?;
        let facts = prepare(&self.cluster, operation, &options.topic, &options.requirements).await?;
        let largest = facts.max_message_bytes().unwrap_or(guarantees::DEFAULT_MAX_MESSAGE_BYTES);
        let publisher = KafkaPublisher::open(self.producers.clone(), &options, largest)?;
        remember(&self.publishers, &publisher);
        let weak = Arc::downgrade(&publisher);
        self.supervisor.watch(weak);
        Ok(publisher)
    }
}

/// Sees to the topic and verifies what the application requires; says what is known of the topic.
///
/// # Errors
/// `Unmet`, `NotFound` (the topic), `PermissionDenied`, `Disconnected`, `TimedOut`.
///
/// # Cancel safety
/// Cancel safe; the topic may have been created.
pub(crate) async fn prepare(
    cluster: &Arc<Cluster>,
    operation: &'static str,
    topic: &Topic,
    needs: &Requirements,
) -> Result<Facts> {
    let (cluster, topic, needs) = (cluster.clone(), topic.clone(), needs.clone());
    blocking::run(cluster.config.request_timeout * 3, operation, move || {
        topology::ensure(&cluster, operation, &topic)?;
        let facts = match Facts::ask(&cluster, Some(&topic)) {
            Err(error)
                if error.kind() == Kind::NotFound && cluster.config.topology == TopologyMode::Ignore =>
            {
                Facts::default()
            }
            facts => facts?,
        };
        needs.verify(&guarantees::of(&facts), &guarantees::place(&cluster, &topic))?;
        Ok(facts)
    })
    .await
}

#[async_trait]
impl Backend for Kafka {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        Ok(self.open_publisher(options).await?)
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        let operation = "open a consumer";
        self.check_open(operation)?;
        prepare(&self.cluster, operation, &subscription.topic, &subscription.requirements).await?;
        let dead_letters = match &subscription.dead_letter {
            Some(policy) => Some(self.publisher(PublisherOptions::new(policy.topic.clone())).await?),
            None => None,
        };
        let cluster = self.cluster.clone();
        let timeout = cluster.config.request_timeout * 2;
        let open = move || consumer::open(&cluster, subscription, dead_letters);
        let (consumer, link) = blocking::run(timeout, operation, open).await?;
        remember(&self.consumers, &link);
        let weak = Arc::downgrade(&link);
        self.supervisor.watch(weak);
        Ok(Box::new(consumer))
    }

    async fn transactional_publisher(
        &self,
        options: TransactionOptions,
    ) -> Result<Box<dyn TransactionalPublisher>> {
        let operation = "open a transactional publisher";
        self.check_open(operation)?;
        let cluster = self.cluster.clone();
        let open = move || KafkaTransactions::open(cluster, options);
        let timeout = self.cluster.config.request_timeout * 3;
        let (publisher, orders) = blocking::run(timeout, operation, open).await?;
        remember(&self.transactions, &orders);
        Ok(Box::new(publisher))
    }

    async fn guarantees(&self, topic: Option<&Topic>, _group: Option<&Group>) -> Result<Guarantees> {
        self.check_open("guarantees")?;
        let (cluster, topic) = (self.cluster.clone(), topic.cloned());
        blocking::run(cluster.config.request_timeout * 2, "guarantees", move || {
            match guarantees::probe(&cluster, topic.as_ref()) {
                // It would be created, or somebody vouches for it: nothing about it is known.
                Err(error)
                    if error.kind() == Kind::NotFound && cluster.config.topology != TopologyMode::Check =>
                {
                    Ok(guarantees::of(&Facts::default()))
                }
                given => given,
            }
        })
        .await
    }

    fn system(&self) -> Option<&'static str> {
        Some("kafka")
    }

    fn admin(&self) -> &dyn Admin {
        &self.admin
    }

    fn native(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(&self.cluster.admin)
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        let transactions = open(&self.transactions);
        let consumers = open(&self.consumers);
        let publishers = open(&self.publishers);
        // Before the consumers, which keep what a transaction has in hand.
        let result = all(transactions.iter().map(|orders| orders.close())).await;
        let result = result.and(all(consumers.iter().map(|consumer| consumer.shut_down())).await);
        // Last, because consumers publish dead letters.
        let result = result.and(all(publishers.iter().map(|publisher| publisher.close())).await);
        self.supervisor.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread {
            Some(thread) => result.and(thread.join(self.cluster.config.close_timeout, "close").await),
            None => result,
        }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.supervisor.stop();
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka").field("config", &self.cluster.config).finish_non_exhaustive()
    }
}
