//! `ruststream` with `ruststream-nats`: its JetStream publisher and its pull subscriber.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use ruststream::{Broker, OutgoingMessage, Publisher};
use ruststream_nats::{
    ConnectedNatsBroker, JetStreamPublish, JetStreamPublisher, JetStreamSubject, NatsBroker, NatsSubscriber,
};

use crate::Result;
use crate::contender::Publish;
use crate::contenders::nats::subjects;
use crate::contenders::peers::background::Background;
use crate::contenders::peers::plain;
use crate::contenders::peers::window::Window;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    _broker: ConnectedNatsBroker,
    publisher: JetStreamPublisher,
    subjects: Arc<Vec<String>>,
    sent: usize,
    passed: Window<BoxFuture<'static, Result<()>>>,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let broker = NatsBroker::new(plain(task)).connect().await?;
        let publisher = broker.publisher(JetStreamPublish::default());
        let subjects = Arc::new(subjects(task).iter().map(ToString::to_string).collect());
        Ok(Publishing { _broker: broker, publisher, subjects, sent: 0, passed: Window::new() })
    }
}

/// Done when the stream has acknowledged it.
async fn send(publisher: &JetStreamPublisher, subjects: &[String], number: usize, item: Item) -> Result<()> {
    let subject = &subjects[number % subjects.len()];
    Ok(publisher.publish(OutgoingMessage::new(subject, &item.payload), None).await?)
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        let mut window = Window::new();
        for number in 0..count {
            window.push(send(&self.publisher, &self.subjects, number as usize, load.item(number))).await?;
        }
        window.confirmed().await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            let (publisher, subjects, number) = (self.publisher.clone(), self.subjects.clone(), self.sent);
            self.sent += 1;
            self.passed.push(async move { send(&publisher, &subjects, number, item).await }.boxed()).await?;
        }
        self.passed.begin()
    }

    async fn confirmed(&mut self) -> Result<()> {
        self.passed.confirmed().await
    }
}

/// One pull consumer over all partitions.
pub(super) async fn consuming(task: &Task) -> Result<Background<ConnectedNatsBroker, NatsSubscriber>> {
    let broker = NatsBroker::new(plain(task)).connect().await?;
    let subject = JetStreamSubject::new(format!("{}.*", task.topic), &task.topic)
        .durable(&task.group)
        .max_ack_pending(task.prefetch as i64);
    let subscriber = broker.subscribe_with(subject).await?;
    Ok(Background::new(broker, vec![subscriber]))
}
