//! A topic with a group, and both sides' clients on it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anybroker::{
    Broker, BrokerUrl, Consumer, ConsumerExt as _, DeadLetterPolicy, Delivery, Group, Publisher,
    PublisherOptions, Subscription, Topic, Topology,
};

use crate::Failure;
use crate::letter::{Letter, same};
use crate::python::{Program, Python};
use crate::target::Target;

/// How long a step on our side may take.
const STEP: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    pub(crate) target: Target,
    pub(crate) broker: Broker,
    pub(crate) topic: Topic,
    pub(crate) dead: Topic,
    pub(crate) group: Group,
    address: Vec<String>,
    python: &'static Python,
}

/// Again where the connection broke: other tests have just broken the broker, and it is idempotent.
async fn declare(broker: &Broker, topology: &Topology) -> anybroker::Result<()> {
    for _ in 0..2 {
        match broker.admin().declare(topology).await {
            Err(error) if error.is_retryable() => {}
            ended => return ended,
        }
    }
    broker.admin().declare(topology).await
}

impl Stage {
    pub(crate) async fn open(
        target: Target,
        url: &str,
        python: &'static Python,
        case: &str,
    ) -> Result<Self, Failure> {
        let address = (target.address)(&url.parse::<BrokerUrl>()?);
        let join = if url.contains('?') { '&' } else { '?' };
        let url = if target.parameters.is_empty() {
            url.to_owned()
        } else {
            format!("{url}{join}{}", target.parameters)
        };
        let broker = anybroker::connect(&url).await?;
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
        let topic = Topic::new(format!("{case}-{nanos:x}"))?;
        let dead = Topic::new(format!("{topic}-dead"))?;
        let group = Group::new("readers")?;
        for each in [&topic, &dead] {
            declare(&broker, &Topology::new(each.clone()).group(group.clone())).await?;
        }
        Ok(Stage { target, broker, topic, dead, group, address, python })
    }

    pub(crate) async fn tidy(&self) -> Result<(), Failure> {
        self.broker.admin().delete(&self.topic).await?;
        self.broker.admin().delete(&self.dead).await?;
        Ok(self.broker.close().await?)
    }

    pub(crate) async fn publisher(&self) -> Result<Arc<dyn Publisher>, Failure> {
        Ok(self.broker.publisher(PublisherOptions::new(self.topic.clone())).await?)
    }

    pub(crate) async fn consumer(&self) -> Result<Box<dyn Consumer>, Failure> {
        let policy = DeadLetterPolicy { topic: self.dead.clone(), max_attempts: None };
        let subscription = Subscription::new(self.topic.clone(), self.group.clone()).dead_letter(policy);
        Ok(self.broker.consumer(subscription).await?)
    }

    /// A Python program that publishes to the topic.
    pub(crate) fn python_publisher(&self) -> Result<Program, Failure> {
        let mut arguments = vec!["publish".to_owned()];
        arguments.extend(self.address.iter().cloned().chain([self.topic.to_string()]));
        self.python.start(self.target.program, arguments)
    }

    /// A Python program that consumes this many messages of a topic's group.
    pub(crate) fn python_consumer(&self, topic: &Topic, count: usize) -> Result<Program, Failure> {
        let mut arguments = vec!["consume".to_owned()];
        arguments.extend(self.address.iter().cloned());
        arguments.extend((self.target.source)(topic, &self.group, count));
        self.python.start(self.target.program, arguments)
    }

    /// Fails unless both are the same, but for the order of headers where the protocol keeps none.
    pub(crate) fn same(&self, what: &str, expected: Letter, found: Letter) -> Result<(), Failure> {
        match self.target.keeps_order_of_headers {
            true => same(what, expected, found),
            false => same(what, expected.sorted(), found.sorted()),
        }
    }
}

/// Waits for the next message.
pub(crate) async fn next(consumer: &mut Box<dyn Consumer>) -> Result<Delivery, Failure> {
    match tokio::time::timeout(STEP, consumer.next()).await {
        Ok(delivery) => Ok(delivery?),
        Err(_) => Err(format!("nothing came within {STEP:?}").into()),
    }
}
