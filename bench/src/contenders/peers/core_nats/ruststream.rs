//! `ruststream` with `ruststream-nats`: its plain publisher and its subscriber.

use async_trait::async_trait;
use ruststream::{Broker, OutgoingMessage, Publisher};
use ruststream_nats::{
    ConnectedNatsBroker, CoreSubject, NatsBroker, NatsPublish, NatsPublisher, NatsSubscriber,
};

use super::echo::Echo;
use super::server;
use crate::Result;
use crate::contender::Publish;
use crate::contenders::core_nats::echo::{EVERY, ON_THE_WAY};
use crate::contenders::peers::background::Background;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    _broker: ConnectedNatsBroker,
    publisher: NatsPublisher,
    subject: String,
    echo: Echo,
    sent: usize,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let broker = NatsBroker::new(server(task)).connect().await?;
        let (publisher, echo) = (broker.publisher(NatsPublish), Echo::open(broker.client()).await?);
        Ok(Publishing { _broker: broker, publisher, subject: task.topic.clone(), echo, sent: 0 })
    }

    async fn send(&mut self, item: Item) -> Result<()> {
        self.publisher.publish(OutgoingMessage::new(&self.subject, &item.payload), None).await?;
        self.sent += 1;
        if self.sent.is_multiple_of(EVERY) { self.echo.ask(ON_THE_WAY).await } else { Ok(()) }
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        for number in 0..count {
            self.send(load.item(number)).await?;
        }
        self.confirmed().await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            self.send(item).await?;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        self.echo.ask(0).await
    }
}

/// When this returns, the server knows of the subscription.
pub(super) async fn consuming(task: &Task) -> Result<Background<ConnectedNatsBroker, NatsSubscriber>> {
    let broker = NatsBroker::new(server(task)).connect().await?;
    let subject = CoreSubject::new(&task.topic).queue_group(&task.group);
    let subscriber = broker.subscribe_with(subject).await?;
    Echo::open(broker.client()).await?.ask(0).await?;
    Ok(Background::without_acknowledgements(broker, vec![subscriber]))
}
