//! The embedded, durable broker of anybroker: one SQLite file, several processes.
//!
//! The reference model of `memory://`, durable: partitions, consumer groups with rebalancing, attempt counts,
//! deduplication, retention and replay. A confirmed message is committed and synced to the disk. Any number of processes of
//! one host use the file at once; a commit in one wakes the others.
//!
//! ```
//! # use anybroker_core::{BrokerUrl, ConsumerExt, Group, Message, PublisherExt, PublisherOptions, Subscription, Topic};
//! # let directory = tempfile::tempdir().unwrap();
//! # let url = format!("sqlite://{}/example.db", directory.path().display());
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! // let url = "sqlite:///var/lib/shop/example.db";
//! let broker = anybroker_sqlite::connect(&url.parse::<BrokerUrl>()?).await?;
//! let topic = Topic::new("orders")?;
//! let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
//! publisher.publish(Message::new("1 apple").with_key("order-1")).await?;
//!
//! let mut consumer = broker.consumer(Subscription::new(topic, Group::new("billing")?)).await?;
//! let delivery = consumer.next().await?;
//! assert_eq!(delivery.payload(), "1 apple");
//! delivery.ack().await?;
//! consumer.close().await?;
//! broker.close().await?;
//! # Ok::<(), anybroker_core::Error>(()) }).unwrap();
//! ```

mod acks;
mod admin;
mod append;
mod config;
mod consumer;
mod diagnose;
mod error;
mod file;
mod guarantees;
mod handed;
mod host;
mod live;
mod look;
mod member;
mod membership;
mod partitioner;
mod publisher;
mod record;
mod schema;
mod store;
mod sweep;
mod topics;
mod wake;
mod writer;

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use anybroker_core::kit::Session;
use anybroker_core::{
    Admin, Backend, Broker, BrokerUrl, Consumer, Error, Group, Guarantees, Kind, Publisher, PublisherOptions,
    Result, Subscription, Topic, TopologyMode, async_trait,
};
use tokio::task::JoinHandle;

pub use config::{Settings, SqliteConfig, Sync};
use store::{Store, lock};

/// The URL schemes of this backend.
pub const SCHEMES: &[&str] = &["sqlite"];

/// Reads the URL as [`connect`] does, and connects to nothing.
///
/// # Errors
/// `InvalidConfiguration` for an unknown or unreadable parameter.
pub fn check(url: &BrokerUrl) -> Result<()> {
    SqliteConfig::from_url(url).map(drop)
}

/// Opens the broker in the file that the URL names: `sqlite:///absolute/path.db?partitions=8`, or
/// `sqlite://relative/path.db`. See [`SqliteConfig`] for the parameters.
///
/// # Errors
/// As [`Sqlite::open`]; `InvalidConfiguration` for an unknown or unreadable parameter.
///
/// # Cancel safety
/// Cancel safe.
pub async fn connect(url: &BrokerUrl) -> Result<Broker> {
    Ok(Arc::new(Sqlite::open(SqliteConfig::from_url(url)?).await?))
}

/// A connection to a broker in an SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    store: Arc<Store>,
    config: SqliteConfig,
    /// What was opened here and ends with `close`.
    opened: Mutex<Opened>,
}

#[derive(Debug, Default)]
struct Opened {
    publishers: Vec<Weak<dyn Publisher>>,
    consumers: Vec<(Weak<Session>, JoinHandle<()>)>,
}

/// How long the members of a closed broker have for leaving their groups.
const LEAVE: Duration = Duration::from_secs(15);

impl Sqlite {
    /// Opens the broker in the file that `config` names, creating the file if it is missing and the mode says so. Several
    /// brokers of one process share what is open.
    ///
    /// # Errors
    /// `NotFound` for a missing directory or file, `PermissionDenied`, `InvalidConfiguration` if the file is another
    /// program's or a newer version's, `Throttled` if another process keeps it locked, `Unexpected` if it is damaged.
    ///
    /// # Cancel safety
    /// Cancel safe; the file may have been created.
    pub async fn open(config: SqliteConfig) -> Result<Self> {
        let opening = config.clone();
        let opened = tokio::task::spawn_blocking(move || Store::open(&opening)).await;
        let store = opened.map_err(|error| {
            Error::new(Kind::Unexpected, "connect", "opening the file did not end").with_source(error)
        })??;
        Ok(Sqlite { store, config, opened: Mutex::default() })
    }

    /// What holds for a topic that exists, or for one that would be created.
    async fn probe(&self, topic: Option<i64>) -> Result<Guarantees> {
        let kept = match topic {
            Some(id) => self.store.read("guarantees", move |connection| topics::kept(connection, id)).await?,
            None => None,
        };
        Ok(guarantees::of(&self.config, kept))
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        let topic = self.store.open_topic(&options.topic, &self.config).await?;
        let given = self.probe(Some(topic.id)).await?;
        options.requirements.verify(&given, &format!("topic `{}`", options.topic))?;
        let publisher: Arc<dyn Publisher> =
            Arc::new(publisher::SqlitePublisher::new(self.store.clone(), topic, &options));
        let mut opened = lock(&self.opened);
        opened.publishers.retain(|publisher| publisher.strong_count() > 0);
        opened.publishers.push(Arc::downgrade(&publisher));
        Ok(publisher)
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        let topic = self.store.open_topic(&subscription.topic, &self.config).await?;
        let place = format!("topic `{}`, group `{}`", subscription.topic, subscription.group);
        subscription.requirements.verify(&self.probe(Some(topic.id)).await?, &place)?;
        let dead_letters = match &subscription.dead_letter {
            Some(policy) => Some(self.publisher(PublisherOptions::new(policy.topic.clone())).await?),
            None => None,
        };
        let store = self.store.clone();
        let consumer::Opened { consumer, session, task } =
            consumer::open(store, topic, subscription, &self.config, dead_letters).await?;
        let mut opened = lock(&self.opened);
        opened.consumers.retain(|(_, task)| !task.is_finished());
        opened.consumers.push((Arc::downgrade(&session), task));
        Ok(consumer)
    }

    async fn guarantees(&self, topic: Option<&Topic>, _group: Option<&Group>) -> Result<Guarantees> {
        let Some(topic) = topic else { return self.probe(None).await };
        let wanted = topic.clone();
        let found =
            self.store.read("guarantees", move |connection| topics::find(connection, &wanted)).await?;
        match found {
            Some((id, _)) => self.probe(Some(id)).await,
            None if self.config.topology == TopologyMode::Create => self.probe(None).await,
            None => Err(topics::missing(topic)),
        }
    }

    fn system(&self) -> Option<&'static str> {
        Some("sqlite")
    }

    fn admin(&self) -> &dyn Admin {
        self
    }

    async fn close(&self) -> Result<()> {
        let opened = std::mem::take(&mut *lock(&self.opened));
        for session in opened.consumers.iter().filter_map(|(session, _)| session.upgrade()) {
            // Its task leaves the group, which hands everything unsettled back.
            session.fail(Error::new(Kind::Closed, "receive", "the broker handle is closed"));
        }
        for publisher in opened.publishers.iter().filter_map(Weak::upgrade) {
            publisher.close().await?;
        }
        let leaving = async {
            for (_, task) in opened.consumers {
                let _ = task.await;
            }
        };
        tokio::time::timeout(LEAVE, leaving).await.map_err(|_| {
            Error::new(
                Kind::TimedOut,
                "close",
                format!("a consumer did not leave its group within {LEAVE:?}"),
            )
        })
    }
}
