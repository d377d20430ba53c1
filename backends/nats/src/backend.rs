//! The broker handle: one connection for everything.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anybroker_core::{
    Admin, AfterFailure, Backend, Broker, Consumer, Error, Group, Guarantees, Kind, OnFailure, Publisher,
    PublisherOptions, Result, Start, Subscription, Topic, async_trait,
};
use futures::FutureExt;
use tokio::sync::watch;

use crate::config::NatsConfig;
use crate::consumer;
use crate::groups::{self, From, Layout};
use crate::guarantees::{Facts, message_bytes};
use crate::link::Link;
use crate::member::Verify;
use crate::publisher::NatsPublisher;
use crate::sending::Sender;
use crate::streams::{self, Found};

/// The way to `async-nats` itself, for what the contract does not have. What is done with it is outside the guarantees.
///
/// ```no_run
/// # async fn example(broker: anybroker_core::Broker) -> anybroker_core::Result<()> {
/// use anybroker_nats::NativeClient;
/// if let Some(native) = broker.native().and_then(|native| native.downcast_ref::<NativeClient>()) {
///     let jetstream = async_nats::jetstream::new(native.client()?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NativeClient {
    pub(crate) link: Arc<Link>,
}

impl NativeClient {
    /// The client, which connects again by itself.
    ///
    /// # Errors
    /// `Closed` after the broker handle was closed.
    pub fn client(&self) -> Result<async_nats::Client> {
        self.link.client("native")
    }
}

/// NATS with JetStream, connected.
#[derive(Debug)]
pub(crate) struct Nats {
    pub(crate) config: Arc<NatsConfig>,
    pub(crate) link: Arc<Link>,
    native: NativeClient,
    publishers: Mutex<Vec<Weak<NatsPublisher>>>,
    pub(crate) closing: watch::Sender<bool>,
}

/// A group of a topic as it is.
pub(crate) struct Known {
    pub(crate) topic: Found,
    pub(crate) layout: Layout,
}

impl Known {
    /// Whether an acknowledgement that the server confirmed outlives the server's process. One server writes them to its
    /// disk ten times a second; several agree on each first.
    pub(crate) fn confirms_settlements(&self) -> bool {
        self.topic.config().is_some_and(|stream| stream.num_replicas >= 3)
    }
}

impl Nats {
    pub(crate) async fn open(config: NatsConfig) -> Result<Broker> {
        let link = Link::open(&config).await?;
        Ok(Arc::new(Nats {
            config: Arc::new(config),
            native: NativeClient { link: link.clone() },
            link,
            publishers: Mutex::default(),
            closing: watch::Sender::new(false),
        }))
    }

    /// Opens a publisher and keeps track of it for `close`.
    pub(crate) async fn open_publisher(&self, options: PublisherOptions) -> Result<Arc<NatsPublisher>> {
        let (link, config) = (self.link.clone(), self.config.clone());
        let found = verify_publisher(&link, &config, &options).await?;
        let most = message_bytes(&link.server()?, found.config());
        let checked = options.clone();
        let again = (link.clone(), config.clone());
        let verify: Verify = Box::new(move || {
            let ((link, config), options) = (again.clone(), checked.clone());
            async move { verify_publisher(&link, &config, &options).await.map(|_| ()) }.boxed()
        });
        let (names, partitions) = (found.names, found.partitions);
        let sender = Sender { link, names, partitions, patience: config.publish_deadline, verify };
        let publisher = Arc::new(NatsPublisher::start(&options, most, config.deadline, sender));
        let mut publishers = self.publishers.lock().unwrap_or_else(PoisonError::into_inner);
        publishers.retain(|publisher| publisher.strong_count() > 0);
        publishers.push(Arc::downgrade(&publisher));
        Ok(publisher)
    }

    pub(crate) fn refuse_if_closed(&self, operation: &'static str) -> Result<()> {
        if !*self.closing.borrow() {
            return Ok(());
        }
        Err(Error::new(Kind::Closed, operation, "the broker handle is closed"))
    }
}

async fn verify_publisher(link: &Link, config: &NatsConfig, options: &PublisherOptions) -> Result<Found> {
    let (topic, mode) = (&options.topic, config.topology);
    let found = streams::topic(link, "publish", config, mode, topic, config.partitions).await?;
    let facts = Facts { config, server: &link.server()?, topic: Some(&found), group: None };
    let mut guarantees = facts.guarantees();
    if options.on_failure == OnFailure::Continue {
        guarantees.order_after_failed_publish.value = AfterFailure::Gap;
    }
    options.requirements.verify(&guarantees, &format!("topic `{topic}` of {}", config.place()))?;
    Ok(found)
}

/// What a group has, checked as the mode says; and its guarantees against what is needed.
pub(crate) async fn verify_group(
    link: &Link,
    config: &NatsConfig,
    subscription: &Subscription,
) -> Result<Known> {
    let Subscription { topic, group, requirements, .. } = subscription;
    let mode = config.topology;
    let found = streams::topic(link, "receive", config, mode, topic, config.partitions).await?;
    let from = match (subscription.start, &found.info) {
        (Start::Latest, Some(info)) => From::Sequence(info.state.last_sequence + 1),
        _ => From::First,
    };
    let layout = groups::group(link, "receive", config, mode, &found, group, from).await?;
    let facts = Facts { config, server: &link.server()?, topic: Some(&found), group: Some(&layout) };
    let place = format!("group `{group}` of topic `{topic}` of {}", config.place());
    requirements.verify(&facts.guarantees(), &place)?;
    Ok(Known { topic: found, layout })
}

#[async_trait]
impl Backend for Nats {
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
        let (link, config, mode) = (&self.link, &self.config, self.config.topology);
        let (mut found, mut layout) = (None, None);
        if let Some(topic) = topic {
            let topic = streams::topic(link, "guarantees", config, mode, topic, config.partitions).await?;
            if let Some(group) = group {
                let from = From::First;
                layout = Some(groups::group(link, "guarantees", config, mode, &topic, group, from).await?);
            }
            found = Some(topic);
        }
        let server = self.link.server()?;
        Ok(Facts { config, server: &server, topic: found.as_ref(), group: layout.as_ref() }.guarantees())
    }

    fn system(&self) -> Option<&'static str> {
        Some("nats")
    }

    fn admin(&self) -> &dyn Admin {
        self
    }

    /// A [`NativeClient`].
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
        // Every consumer's task holds a receiver until it has left its group.
        let _ = tokio::time::timeout(self.config.deadline, self.closing.closed()).await;
        self.link.close().await;
        closed.into_iter().collect()
    }
}
