//! The broker handle. Every publisher and consumer has connections of its own, so that each knows what ended with them.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anybroker_core::{
    Admin, AfterFailure, Backend, Broker, Consumer, Error, Group, Guarantees, Kind, OnFailure, Publisher,
    PublisherOptions, Result, Subscription, Topic, TopologyMode, async_trait,
};
use futures::FutureExt;
use pulsar::{Authentication, Pulsar, TokioExecutor};
use tokio::sync::watch;

use crate::config::PulsarConfig;
use crate::connections::Connections;
use crate::consumer;
use crate::error::lost;
use crate::guarantees::Facts;
use crate::publisher::PulsarPublisher;
use crate::sending::Sender;
use crate::topology::{Context, View};

/// The way to the `pulsar` crate's own client, for what the contract does not have. What is done with it is outside the
/// guarantees.
///
/// ```no_run
/// # async fn example(broker: anybroker_core::Broker) -> anybroker_core::Result<()> {
/// use anybroker_pulsar::NativeClient;
/// if let Some(native) = broker.native().and_then(|native| native.downcast_ref::<NativeClient>()) {
///     let producer = native.client().await?.producer().with_topic("orders");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NativeClient {
    config: Arc<PulsarConfig>,
}

impl NativeClient {
    /// Connects a client of its own with the same settings, but for a client's certificate, which it does not have.
    ///
    /// # Errors
    /// `Disconnected` with the client's error.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn client(&self) -> Result<Pulsar<TokioExecutor>> {
        let config = &self.config;
        let (host, port) = config.hosts.first().ok_or_else(|| lost("native"))?;
        let scheme = if config.tls { "pulsar+ssl" } else { "pulsar" };
        let mut builder = Pulsar::builder(format!("{scheme}://{host}:{port}"), TokioExecutor);
        if let Some(token) = &config.token {
            let data = token.expose().as_bytes().to_vec();
            builder = builder.with_auth(Authentication { name: "token".to_owned(), data });
        }
        if let Some(ca) = &config.tls_files.ca {
            builder = builder.with_certificate_chain(anybroker_core::TlsFiles::read(ca)?);
        }
        builder.build().await.map_err(|error| lost("native").with_source(error))
    }
}

/// Pulsar, connected.
#[derive(Debug)]
pub(crate) struct PulsarBackend {
    pub(crate) context: Arc<Context>,
    native: NativeClient,
    publishers: Mutex<Vec<Weak<PulsarPublisher>>>,
    pub(crate) closing: watch::Sender<bool>,
}

impl PulsarBackend {
    pub(crate) async fn open(config: PulsarConfig) -> Result<Broker> {
        let context = Arc::new(Context::new(config)?);
        // Whether anybody answers, and takes the login.
        Connections::open(context.config.clone()).await?;
        Ok(Arc::new(PulsarBackend {
            native: NativeClient { config: context.config.clone() },
            context,
            publishers: Mutex::default(),
            closing: watch::Sender::new(false),
        }))
    }

    /// Opens a publisher and keeps track of it for `close`.
    pub(crate) async fn open_publisher(&self, options: PublisherOptions) -> Result<Arc<PulsarPublisher>> {
        let context = self.context.clone();
        let (connections, view) = verify_publisher(&context, &options).await?;
        let most = crate::guarantees::message_bytes(connections.base());
        let (again, checked) = (context.clone(), options.clone());
        let reopen = Box::new(move || {
            let (context, options) = (again.clone(), checked.clone());
            async move { verify_publisher(&context, &options).await }.boxed()
        });
        let deadline = context.config.deadline;
        let sender = Sender { context, first: Some((connections, view)), reopen };
        let publisher = Arc::new(PulsarPublisher::start(&options, most, deadline, sender));
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

async fn verify_publisher(context: &Context, options: &PublisherOptions) -> Result<(Connections, View)> {
    let config = &context.config;
    let connections = Connections::open(config.clone()).await?;
    let (wire, topic) = (connections.base(), &options.topic);
    let view = context.topic("publish", config.topology, wire, topic, config.partitions).await?;
    let facts = Facts::ask(context, "publish", wire, Some(&view)).await?;
    let mut guarantees = facts.guarantees(config);
    if options.on_failure == OnFailure::Continue {
        guarantees.order_after_failed_publish.value = AfterFailure::Gap;
    }
    options.requirements.verify(&guarantees, &format!("topic `{topic}` of {}", config.place()))?;
    Ok((connections, view))
}

#[async_trait]
impl Backend for PulsarBackend {
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
        let (context, config) = (&self.context, &self.context.config);
        let connections = Connections::open(config.clone()).await?;
        let (wire, mode) = (connections.base(), config.topology);
        let mut view = None;
        if let Some(topic) = topic {
            let found = context.topic("guarantees", mode, wire, topic, config.partitions).await?;
            if let Some(group) = group.filter(|_| mode != TopologyMode::Ignore) {
                context.group("guarantees", mode, topic, group).await?;
            }
            view = Some(found);
        }
        Ok(Facts::ask(context, "guarantees", wire, view.as_ref()).await?.guarantees(config))
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
        let _ = tokio::time::timeout(self.context.config.deadline, self.closing.closed()).await;
        closed.into_iter().collect()
    }
}
