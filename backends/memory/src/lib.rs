//! The in-memory broker: anybroker's reference model.
//!
//! Partitions, consumer groups with rebalancing, leases, attempt counts, deduplication, retention and replay, all in
//! this process and with the semantics of the contract at their strongest. Time is tokio's, so that tests can pause
//! and advance it. Every connection to one name in a process reaches the same broker, as with a real one:
//!
//! ```
//! # use anybroker_core::{BrokerUrl, ConsumerExt, Group, Message, PublisherExt, PublisherOptions, Subscription, Topic};
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let broker = anybroker_memory::connect(&"memory://example".parse::<BrokerUrl>()?).await?;
//! let topic = Topic::new("orders")?;
//! let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
//! publisher.publish(Message::new("1 apple").with_key("order-1")).await?;
//!
//! let mut consumer = broker.consumer(Subscription::new(topic, Group::new("billing")?)).await?;
//! let delivery = consumer.next().await?;
//! assert_eq!(delivery.payload(), "1 apple");
//! delivery.ack().await?;
//! # Ok::<(), anybroker_core::Error>(()) }).unwrap();
//! ```

mod admin;
mod adversary;
mod config;
mod consumer;
mod dice;
mod direct;
mod group;
mod guarantees;
mod lanes;
mod like;
mod log;
mod member;
mod publisher;
mod semantics;
mod setup;
mod store;
mod transactions;

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use anybroker_core::{
    Admin, Backend, Broker, BrokerUrl, Consumer, DeadLetter, DeadLetterPolicy, Error, Group, Guarantees,
    Kind, Publisher, PublisherOptions, Result, Subscription, Topic, TransactionOptions,
    TransactionalPublisher, async_trait,
};

pub use adversary::{Adversary, Chance, Deed, Done, Schedule};
use anybroker_core::kit::Session;
pub use config::MemoryConfig;
pub use like::Like;
use setup::Setup;
use store::{Store, lock};

/// The URL schemes of this backend.
pub const SCHEMES: &[&str] = &["memory"];

/// Reads the URL as [`connect`] does, and connects to nothing.
///
/// # Errors
/// `InvalidConfiguration` for an unknown or unreadable parameter.
pub fn check(url: &BrokerUrl) -> Result<()> {
    MemoryConfig::from_url(url).map(drop)
}

/// Opens the broker named by the URL: `memory://name?partitions=8`. See [`MemoryConfig`] for the parameters.
///
/// # Errors
/// `InvalidConfiguration` for an unknown or unreadable parameter.
///
/// # Cancel safety
/// Cancel safe.
pub async fn connect(url: &BrokerUrl) -> Result<Broker> {
    Ok(Arc::new(Memory::open(MemoryConfig::from_url(url)?)))
}

/// A connection to an in-memory broker.
#[derive(Debug)]
pub struct Memory {
    store: Arc<Store>,
    setup: Setup,
    guarantees: Guarantees,
    /// What was opened here and ends with `close`.
    opened: Mutex<Opened>,
    closed: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Opened {
    publishers: Vec<Weak<dyn Publisher>>,
    sessions: Vec<Weak<Session>>,
}

impl Memory {
    /// Opens the broker that `config` names, creating it if this is its first connection. It ends with its last one.
    pub fn open(config: MemoryConfig) -> Self {
        let guarantees = guarantees::of(&config);
        let store = Store::named(&config.name);
        let setup = Setup::new(config, &guarantees);
        Memory { store, setup, guarantees, opened: Mutex::default(), closed: Arc::default() }
    }

    /// Another connection to the same broker, in the hands of the same adversary: that of another process, in a test.
    pub fn reconnect(&self) -> Self {
        Memory {
            store: self.store.clone(),
            setup: self.setup.clone(),
            guarantees: self.guarantees.clone(),
            opened: Mutex::default(),
            closed: Arc::default(),
        }
    }

    /// Another connection to the same broker, on which nothing goes wrong.
    pub fn at_peace(&self) -> Self {
        Memory { setup: self.setup.at_peace(), ..self.reconnect() }
    }

    /// What goes wrong on this connection, if it was opened with an adversary.
    pub fn adversary(&self) -> Option<&Adversary> {
        self.setup.adversary.as_deref()
    }
}

impl Memory {
    fn open_publisher(&self, options: PublisherOptions, setup: Setup) -> Result<Arc<dyn Publisher>> {
        let topic = self.store.open_topic(&options.topic, &setup)?;
        options.requirements.verify(&self.guarantees, &format!("topic `{}`", options.topic))?;
        let publisher: Arc<dyn Publisher> = Arc::new(publisher::MemoryPublisher::new(topic, options, setup));
        let mut opened = lock(&self.opened);
        opened.publishers.retain(|publisher| publisher.strong_count() > 0);
        opened.publishers.push(Arc::downgrade(&publisher));
        Ok(publisher)
    }

    /// Where a dead letter may not come twice, an adversary may not make its publisher send it again.
    fn dead_letters(&self, policy: &DeadLetterPolicy) -> Result<Arc<dyn Publisher>> {
        let once = self.guarantees.dead_letter.value == DeadLetter::AtMostOnce;
        let setup = if once { self.setup.at_peace() } else { self.setup.clone() };
        self.open_publisher(PublisherOptions::new(policy.topic.clone()), setup)
    }
}

#[async_trait]
impl Backend for Memory {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        self.open_publisher(options, self.setup.clone())
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        let topic = self.store.open_topic(&subscription.topic, &self.setup)?;
        let place = format!("topic `{}`, group `{}`", subscription.topic, subscription.group);
        subscription.requirements.verify(&self.guarantees, &place)?;
        let dead_letters = match &subscription.dead_letter {
            Some(policy) => Some(self.dead_letters(policy)?),
            None => None,
        };
        let (session, consumer) = consumer::open(topic, subscription, &self.setup, dead_letters)?;
        let mut opened = lock(&self.opened);
        opened.sessions.retain(|session| session.strong_count() > 0);
        opened.sessions.push(Arc::downgrade(&session));
        Ok(consumer)
    }

    async fn transactional_publisher(
        &self,
        options: TransactionOptions,
    ) -> Result<Box<dyn TransactionalPublisher>> {
        if !self.setup.semantics.transactions {
            return Err(options.unsupported());
        }
        options.requirements.verify(&self.guarantees, &format!("transactional id `{}`", options.id))?;
        let (store, closed) = (self.store.clone(), self.closed.clone());
        Ok(Box::new(transactions::Holder::take(options, store, self.setup.clone(), closed)))
    }

    async fn guarantees(&self, topic: Option<&Topic>, _group: Option<&Group>) -> Result<Guarantees> {
        if let Some(topic) = topic {
            self.store.open_topic(topic, &self.setup)?;
        }
        Ok(self.guarantees.clone())
    }

    fn system(&self) -> Option<&'static str> {
        Some("memory")
    }

    fn admin(&self) -> &dyn Admin {
        self
    }

    /// With `adversary=`, the [`Adversary`].
    fn native(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.adversary().map(|adversary| adversary as _)
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        let opened = std::mem::take(&mut *lock(&self.opened));
        for session in opened.sessions.iter().filter_map(Weak::upgrade) {
            // Its fetch task leaves the group, which hands everything unsettled back.
            session.fail(Error::new(Kind::Closed, "receive", "the broker handle is closed"));
        }
        for publisher in opened.publishers.iter().filter_map(Weak::upgrade) {
            publisher.close().await?;
        }
        Ok(())
    }
}
