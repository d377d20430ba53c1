//! `ruststream` with `ruststream-sqs-sns`: its publisher and its subscribers.

use anybroker::BrokerUrl;
use async_trait::async_trait;
use ruststream::{Broker, HeaderMap, OutgoingMessage, Publisher, Str};
use ruststream_sqs_sns::{
    ConnectedSqsBroker, PARTITION_KEY_HEADER, SqsBroker, SqsPublisher, SqsQueue, SqsSubscriber,
};

use crate::Result;
use crate::contenders::peers::background::Background;
use crate::contenders::sqs::lanes::{Lanes, Sending};
use crate::contenders::sqs::queue::name;
use crate::task::{Item, Task};

/// Subscribers of the queue: as many requests for messages as anybroker's consumer has at once.
const SUBSCRIBERS: usize = 4;

async fn connect(task: &Task) -> Result<ConnectedSqsBroker> {
    let url: BrokerUrl = task.url.parse()?;
    let (region, _) = url.hosts.first().ok_or("the URL names no region")?;
    let broker = SqsBroker::new().region(region.as_str());
    // An emulator is content with any credentials.
    let broker = match url.parameters().text("endpoint") {
        Some(endpoint) => broker.endpoint(endpoint).test_credentials(),
        None => broker,
    };
    Ok(broker.connect().await?)
}

/// A lane for each key.
pub(super) async fn publishing(task: &Task) -> Result<Lanes> {
    let broker = connect(task).await?;
    let (publisher, queue) = (broker.publisher(), name(task)?);
    Ok(Lanes::new(Publishing { _broker: broker, publisher, queue }, task.keys.max(1) as usize, 1))
}

struct Publishing {
    _broker: ConnectedSqsBroker,
    publisher: SqsPublisher,
    queue: String,
}

#[async_trait]
impl Sending for Publishing {
    async fn send(&self, items: Vec<Item>) -> Result<()> {
        for item in items {
            let mut headers = HeaderMap::new();
            headers.insert(Str::from_static(PARTITION_KEY_HEADER), item.key);
            let message = OutgoingMessage::new(&self.queue, &item.payload).with_headers(headers);
            self.publisher.publish(message, None).await?;
        }
        Ok(())
    }
}

pub(super) async fn consuming(task: &Task) -> Result<Background<ConnectedSqsBroker, SqsSubscriber>> {
    let (broker, name) = (connect(task).await?, name(task)?);
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        subscribers.push(broker.subscribe_queue(SqsQueue::new(&name)).await?);
    }
    Ok(Background::new(broker, subscribers))
}
