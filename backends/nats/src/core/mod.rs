//! Core NATS: at most once. A topic is a subject, a group is a queue group; nothing is stored, and nothing comes again.

mod consumer;
mod guarantees;
mod publisher;

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anybroker_core::kit::within;
use anybroker_core::{
    Admin, Backend, Broker, Consumer, Diagnosis, Error, Group, Guarantees, Kind, Publisher, PublisherOptions,
    Result, Start, Subscription, Topic, TopicInfo, Topology, async_trait,
};
use tokio::sync::watch;

use crate::backend::NativeClient;
use crate::config::NatsConfig;
use crate::diagnosis;
use crate::link::Link;
use crate::names::Names;

/// NATS without JetStream, connected.
#[derive(Debug)]
pub(crate) struct CoreNats {
    config: NatsConfig,
    link: Arc<Link>,
    native: NativeClient,
    closing: watch::Sender<bool>,
}

impl CoreNats {
    pub(crate) async fn open(config: NatsConfig) -> Result<Broker> {
        let link = Link::open(&config).await?;
        let native = NativeClient { link: link.clone() };
        Ok(Arc::new(CoreNats { config, link, native, closing: watch::Sender::new(false) }))
    }

    fn refuse_if_closed(&self, operation: &'static str) -> Result<()> {
        if !*self.closing.borrow() {
            return Ok(());
        }
        Err(Error::new(Kind::Closed, operation, "the broker handle is closed"))
    }

    fn place(&self, topic: &Topic) -> String {
        format!("topic `{topic}` of {}", self.config.place())
    }
}

#[async_trait]
impl Backend for CoreNats {
    async fn publisher(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        self.refuse_if_closed("publish")?;
        Names::new(&options.topic)?;
        let guarantees = guarantees::guarantees(&self.link.server()?);
        options.requirements.verify(&guarantees, &self.place(&options.topic))?;
        Ok(Arc::new(publisher::CorePublisher::start(self.link.clone(), &options, &self.config)?))
    }

    async fn consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        self.refuse_if_closed("receive")?;
        Names::new(&subscription.topic)?;
        if subscription.start == Start::Earliest {
            let text = "core NATS keeps nothing that could be read again";
            return Err(Error::new(Kind::Unsupported, "receive", text)
                .advice("use nats:// (JetStream), or Start::Latest"));
        }
        let guarantees = guarantees::guarantees(&self.link.server()?);
        subscription.requirements.verify(&guarantees, &self.place(&subscription.topic))?;
        let letters = match &subscription.dead_letter {
            Some(policy) => Some(self.publisher(PublisherOptions::new(policy.topic.clone())).await?),
            None => None,
        };
        consumer::open(self.link.clone(), subscription, letters, self.closing.subscribe()).await
    }

    async fn guarantees(&self, topic: Option<&Topic>, _group: Option<&Group>) -> Result<Guarantees> {
        self.refuse_if_closed("guarantees")?;
        topic.map(Names::new).transpose()?;
        Ok(guarantees::guarantees(&self.link.server()?))
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
        if !self.closing.send_replace(true) {
            self.link.close().await;
        }
        Ok(())
    }
}

fn nothing_there(operation: &'static str) -> Error {
    Error::new(Kind::Unsupported, operation, "core NATS keeps neither topics nor groups nor messages")
        .advice("use nats:// (JetStream)")
}

#[async_trait]
impl Admin for CoreNats {
    /// There is nothing to declare: subjects need not exist, and a group is there while somebody consumes.
    async fn declare(&self, topology: &Topology) -> Result<()> {
        if topology.partitions.is_some_and(|partitions| partitions > 1) {
            let text = format!("core NATS has no partitions, and {:?} are asked for", topology.partitions);
            return Err(
                Error::new(Kind::InvalidConfiguration, "declare", text).advice("use nats:// (JetStream)")
            );
        }
        Names::new(&topology.topic).map(|_| ())
    }

    async fn delete(&self, _topic: &Topic) -> Result<()> {
        Ok(())
    }

    async fn purge(&self, _topic: &Topic) -> Result<()> {
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        Err(nothing_there("topics"))
    }

    async fn backlog(&self, _topic: &Topic, _group: &Group) -> Result<u64> {
        Err(nothing_there("backlog"))
    }

    async fn diagnose(&self, topic: Option<&Topic>) -> Result<Vec<Diagnosis>> {
        diagnosis::diagnose(&self.link, &self.config, topic).await
    }

    async fn health(&self) -> Result<Duration> {
        let started = Instant::now();
        within(self.link.deadline, "health", publisher::round_trip(&self.link)).await?;
        Ok(started.elapsed())
    }
}
