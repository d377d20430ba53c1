//! The broker handle.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anybroker_core::{
    Admin, AfterFailure, Backend, Broker, Consumer, Error, Group, Guarantees, Kind, OnFailure, Publisher,
    PublisherOptions, Result, Subscription, Topic, async_trait,
};
use tokio::sync::watch;

use crate::config::SqsConfig;
use crate::connect::Cloud;
use crate::consumer;
use crate::guarantees::Facts;
use crate::publisher::SqsPublisher;
use crate::sending::{REQUEST_BYTES, Sender};
use crate::topology::{Keeper, Queue};

/// SQS, connected. Cloning shares everything.
#[derive(Clone)]
pub(crate) struct Sqs {
    pub(crate) config: Arc<SqsConfig>,
    pub(crate) cloud: Cloud,
    pub(crate) closing: Arc<watch::Sender<bool>>,
    publishers: Arc<Mutex<Vec<Weak<SqsPublisher>>>>,
}

impl fmt::Debug for Sqs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqs").field("place", &self.config.place()).finish_non_exhaustive()
    }
}

impl Sqs {
    pub(crate) async fn open(config: SqsConfig) -> Result<Broker> {
        let cloud = Cloud::open(&config).await?;
        Ok(Arc::new(Sqs {
            config: Arc::new(config),
            cloud,
            closing: Arc::new(watch::Sender::new(false)),
            publishers: Arc::default(),
        }))
    }

    /// Opens a publisher and keeps track of it for `close`.
    pub(crate) async fn open_publisher(&self, options: PublisherOptions) -> Result<Arc<SqsPublisher>> {
        let queues = Keeper::new(self, "publish").topic(&options.topic).await?;
        let mut guarantees = Facts { config: &self.config, queues: &queues }.guarantees();
        if options.on_failure == OnFailure::Continue {
            guarantees.order_after_failed_publish.value = AfterFailure::Gap;
        }
        let place = format!("topic `{}` of {}", options.topic, self.config.place());
        options.requirements.verify(&guarantees, &place)?;
        let sender = Sender {
            client: self.cloud.client.clone(),
            message_bytes: message_bytes(&queues),
            queues: queues.into(),
            requests: self.config.requests,
            run: self.config.key_batch,
        };
        let publisher = Arc::new(SqsPublisher::start(sender, &options, self.config.deadline));
        let mut publishers = self.publishers.lock().unwrap_or_else(PoisonError::into_inner);
        publishers.retain(|publisher| publisher.strong_count() > 0);
        publishers.push(Arc::downgrade(&publisher));
        Ok(publisher)
    }

    fn refuse_if_closed(&self, operation: &'static str) -> Result<()> {
        if !*self.closing.borrow() {
            return Ok(());
        }
        Err(Error::new(Kind::Closed, operation, "the broker handle is closed"))
    }
}

/// The largest message that every one of these queues takes.
pub(crate) fn message_bytes(queues: &[Queue]) -> usize {
    queues.iter().map(Queue::message_bytes).fold(REQUEST_BYTES, usize::min)
}

#[async_trait]
impl Backend for Sqs {
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
        let keeper = Keeper::new(self, "guarantees");
        let queues = match (topic, group) {
            (Some(topic), Some(group)) => vec![keeper.group(topic, group).await?],
            (Some(topic), None) => keeper.topic(topic).await?,
            (None, _) => Vec::new(),
        };
        Ok(Facts { config: &self.config, queues: &queues }.guarantees())
    }

    fn system(&self) -> Option<&'static str> {
        Some("aws_sqs")
    }

    fn admin(&self) -> &dyn Admin {
        self
    }

    /// An [`aws_sdk_sqs::Client`].
    fn native(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(&self.cloud.client)
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
        // Every consumer's task holds a receiver until it has given its messages back.
        let _ = tokio::time::timeout(self.config.deadline, self.closing.closed()).await;
        closed.into_iter().collect()
    }
}
