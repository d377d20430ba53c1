//! The broker handle: one connection for publishing, one for everything else, as RabbitMQ recommends, because a
//! connection that publishes may be held up by flow control.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anybroker_core::{
    Admin, AfterFailure, Backend, Broker, Consumer, Error, Group, Guarantees, OnFailure, Publisher,
    PublisherOptions, Requirements, Result, Subscription, Topic, async_trait,
};
use futures::FutureExt;
use tokio::sync::{OnceCell, watch};

use crate::config::RabbitConfig;
use crate::connect::{Link, Live};
use crate::consumer;
use crate::guarantees::{Facts, message_bytes};
use crate::locks::Locks;
use crate::publisher::RabbitPublisher;
use crate::sending::Verify;
use crate::topology::Keeper;

/// The way to `lapin` itself, for what the contract does not have. What is done with it is outside the guarantees.
///
/// ```no_run
/// # async fn example(broker: anybroker_core::Broker) -> anybroker_core::Result<()> {
/// use anybroker_rabbitmq::NativeConnection;
/// let native = broker.native().and_then(|native| native.downcast_ref::<NativeConnection>());
/// if let Some(native) = native {
///     let channel = native.connection().await?.create_channel().await;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NativeConnection {
    link: Arc<Link>,
}

impl NativeConnection {
    /// The connection that stands now; ask again when it breaks, since another takes its place.
    ///
    /// # Errors
    /// `Disconnected` if it does not come back within the deadline; `Closed`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn connection(&self) -> Result<Arc<lapin::Connection>> {
        Ok(self.link.now().await?.connection)
    }
}

/// RabbitMQ, connected.
#[derive(Debug)]
pub(crate) struct Rabbit {
    pub(crate) config: Arc<RabbitConfig>,
    /// For consuming and for requests.
    pub(crate) link: Arc<Link>,
    native: NativeConnection,
    publishing: OnceCell<Arc<Link>>,
    publishers: Mutex<Vec<Weak<RabbitPublisher>>>,
    pub(crate) closing: watch::Sender<bool>,
    pub(crate) locks: Locks,
}

impl Rabbit {
    pub(crate) async fn open(config: RabbitConfig) -> Result<Broker> {
        let config = Arc::new(config);
        let link = Link::open(config.clone(), "consume").await?;
        Ok(Arc::new(Rabbit {
            config,
            native: NativeConnection { link: link.clone() },
            link,
            publishing: OnceCell::new(),
            publishers: Mutex::default(),
            closing: watch::Sender::new(false),
            locks: Locks::default(),
        }))
    }

    async fn publishing(&self) -> Result<Arc<Link>> {
        let open = || Link::open(self.config.clone(), "publish");
        self.publishing.get_or_try_init(open).await.cloned()
    }

    /// Opens a publisher and keeps track of it for `close`.
    pub(crate) async fn open_publisher(&self, options: PublisherOptions) -> Result<Arc<RabbitPublisher>> {
        let link = self.publishing().await?;
        let live = link.now().await?;
        verify_publisher(&self.config, &live, &options).await?;
        let (config, checked) = (self.config.clone(), options.clone());
        let verify: Verify = Box::new(move |live| {
            let (config, options) = (config.clone(), checked.clone());
            async move { verify_publisher(&config, &live, &options).await }.boxed()
        });
        let most = message_bytes(&self.config, &live.server);
        let (patience, deadline) = (self.config.publish_deadline, self.config.deadline);
        let publisher = Arc::new(RabbitPublisher::start(link, &options, most, patience, deadline, verify));
        let mut publishers = self.publishers.lock().unwrap_or_else(PoisonError::into_inner);
        publishers.retain(|publisher| publisher.strong_count() > 0);
        publishers.push(Arc::downgrade(&publisher));
        Ok(publisher)
    }

    fn refuse_if_closed(&self, operation: &'static str) -> Result<()> {
        if !*self.closing.borrow() {
            return Ok(());
        }
        Err(Error::new(anybroker_core::Kind::Closed, operation, "the broker handle is closed"))
    }
}

async fn verify_publisher(config: &RabbitConfig, live: &Live, options: &PublisherOptions) -> Result<()> {
    Keeper::new(live, "publish", config.topology).topic(&options.topic).await?;
    let facts = Facts { config, server: &live.server, group: None };
    let mut guarantees = facts.guarantees();
    if options.on_failure == OnFailure::Continue {
        guarantees.order_after_failed_publish.value = AfterFailure::Gap;
    }
    let place = format!("topic `{}` of {}", options.topic, config.place());
    options.requirements.verify(&guarantees, &place)
}

/// What a group has, checked as the mode says; and its guarantees against what is needed.
pub(crate) async fn verify_group(
    config: &RabbitConfig,
    live: &Live,
    topic: &Topic,
    group: &Group,
    needs: &Requirements,
) -> Result<crate::topology::Known> {
    let keeper = Keeper::new(live, "receive", config.topology);
    keeper.topic(topic).await?;
    let known = keeper.group(topic, group, config, config.partitions).await?;
    let facts = Facts { config, server: &live.server, group: Some(&known) };
    needs
        .verify(&facts.guarantees(), &format!("group `{group}` of topic `{topic}` of {}", config.place()))?;
    Ok(known)
}

#[async_trait]
impl Backend for Rabbit {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        self.refuse_if_closed("publish")?;
        Ok(self.open_publisher(options).await?)
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        self.refuse_if_closed("receive")?;
        consumer::open(self, subscription).await
    }

    async fn guarantees(&self, topic: Option<&Topic>, group: Option<&Group>) -> Result<Guarantees> {
        self.refuse_if_closed("guarantees")?;
        let live = self.link.now().await?;
        let mut known = None;
        if let Some(topic) = topic {
            let keeper = Keeper::new(&live, "guarantees", self.config.topology);
            keeper.topic(topic).await?;
            if let Some(group) = group {
                known = Some(keeper.group(topic, group, &self.config, self.config.partitions).await?);
            }
        }
        let facts = Facts { config: &self.config, server: &live.server, group: known.as_ref() };
        Ok(facts.guarantees())
    }

    fn system(&self) -> Option<&'static str> {
        Some("rabbitmq")
    }

    fn admin(&self) -> &dyn Admin {
        self
    }

    /// A [`NativeConnection`].
    fn native(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(&self.native)
    }

    async fn close(&self) -> Result<()> {
        if self.closing.send_replace(true) {
            return Ok(());
        }
        let open: Vec<_> = {
            let publishers = self.publishers.lock().unwrap_or_else(PoisonError::into_inner);
            publishers.iter().filter_map(Weak::upgrade).collect()
        };
        let closed = futures::future::join_all(open.iter().map(|publisher| publisher.close())).await;
        let consumers = self.closing.closed();
        // Every consumer's task holds a receiver until it has closed its channels.
        let _ = tokio::time::timeout(self.config.deadline, consumers).await;
        if let Some(publishing) = self.publishing.get() {
            publishing.close().await;
        }
        self.link.close().await;
        closed.into_iter().collect()
    }
}
