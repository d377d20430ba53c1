//! `ruststream` with `ruststream-lapin`: its publisher with confirms and its subscribers.

use std::num::NonZeroU16;
use std::sync::Arc;

use anybroker::kit::crc32;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use ruststream::{Broker, OutgoingMessage, Publisher};
use ruststream_lapin::{
    ConfirmsPublisher, ConnectedLapinBroker, LapinBroker, LapinPublish, LapinSubscriber, RabbitQuorumQueue,
};

use crate::Result;
use crate::contender::Publish;
use crate::contenders::peers::background::Background;
use crate::contenders::peers::plain;
use crate::contenders::peers::window::Window;
use crate::contenders::rabbitmq::{SLOTS, queues};
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    _broker: ConnectedLapinBroker,
    publisher: ConfirmsPublisher,
    slots: Arc<Vec<String>>,
    passed: Window<BoxFuture<'static, Result<()>>>,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let broker = LapinBroker::new(plain(task)).connect().await?;
        let publisher = broker.publisher(LapinPublish::default().exchange(&task.topic).confirms());
        let slots = Arc::new((0..SLOTS).map(|slot| slot.to_string()).collect());
        Ok(Publishing { _broker: broker, publisher, slots, passed: Window::new() })
    }
}

/// Done when the broker has confirmed it.
async fn send(publisher: &ConfirmsPublisher, slots: &[String], item: Item) -> Result<()> {
    let slot = &slots[(crc32(&item.key) % SLOTS) as usize];
    Ok(publisher.publish(OutgoingMessage::new(slot, &item.payload), None).await?)
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        let mut window = Window::new();
        for number in 0..count {
            window.push(send(&self.publisher, &self.slots, load.item(number))).await?;
        }
        window.confirmed().await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            let (publisher, slots) = (self.publisher.clone(), self.slots.clone());
            self.passed.push(async move { send(&publisher, &slots, item).await }.boxed()).await?;
        }
        self.passed.begin()
    }

    async fn confirmed(&mut self) -> Result<()> {
        self.passed.confirmed().await
    }
}

/// A subscriber for each queue, with its share of the prefetch.
pub(super) async fn consuming(task: &Task) -> Result<Background<ConnectedLapinBroker, LapinSubscriber>> {
    let broker = LapinBroker::new(plain(task)).connect().await?;
    let share = task.prefetch / task.partitions.max(1) as usize;
    let share = NonZeroU16::new(share.clamp(1, u16::MAX.into()) as u16).unwrap_or(NonZeroU16::MIN);
    let mut subscribers = Vec::new();
    for queue in queues(task) {
        let queue = RabbitQuorumQueue::new(queue.as_str()).prefetch(share);
        subscribers.push(broker.subscribe(queue).await?);
    }
    Ok(Background::new(broker, subscribers))
}
