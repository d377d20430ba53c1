//! The natural code: a stream is published, and a worker handles.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use anybroker::worker::Worker;
use anybroker::{Broker, Delivery, Message, PublisherExt, SharedPublisher};
use async_trait::async_trait;
use futures::stream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{broker, publisher, subscription};
use crate::Result;
use crate::contender::{Consume, Publish};
use crate::harness::Handler;
use crate::task::{Item, Load, Task};

pub(super) struct Publishing {
    _broker: Broker,
    publisher: SharedPublisher,
    passing: Option<(mpsc::UnboundedSender<Message>, JoinHandle<Result<()>>)>,
}

impl Publishing {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let (broker, publisher) = publisher(task).await?;
        Ok(Publishing { _broker: broker, publisher, passing: None })
    }

    /// A stream that is fed as messages come.
    fn feed(&self) -> (mpsc::UnboundedSender<Message>, JoinHandle<Result<()>>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let publisher = self.publisher.clone();
        let messages = stream::unfold(receiver, |mut receiver: mpsc::UnboundedReceiver<Message>| async {
            receiver.recv().await.map(|message| (message, receiver))
        });
        let publishing = tokio::spawn(async move {
            publisher.publish_all(messages).await?;
            Ok(())
        });
        (sender, publishing)
    }
}

#[async_trait]
impl Publish for Publishing {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        let load = load.clone();
        let messages = stream::iter((0..count).map(move |number| load.item(number).into()));
        self.publisher.publish_all(messages).await?;
        Ok(())
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        let passing = match self.passing.take() {
            Some(passing) => passing,
            None => self.feed(),
        };
        for item in due {
            passing.0.send(item.into()).map_err(|_| "the stream has ended")?;
        }
        self.passing = Some(passing);
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        match self.passing.take() {
            Some((sender, publishing)) => {
                drop(sender);
                publishing.await?
            }
            None => Ok(()),
        }
    }
}

pub(super) struct Consuming {
    handler: Arc<OnceLock<Arc<Handler>>>,
    parts: Option<(Broker, Task)>,
    running: Option<(oneshot::Sender<()>, JoinHandle<anybroker::Result<()>>)>,
    target: u64,
}

impl Consuming {
    pub(super) async fn open(task: &Task) -> Result<Self> {
        let parts = Some((broker(task).await?, task.clone()));
        Ok(Consuming { handler: Arc::default(), parts, running: None, target: 0 })
    }

    fn start(&mut self, broker: Broker, task: &Task) -> Result<()> {
        let handler = self.handler.clone();
        let service = tower::service_fn(move |delivery: Delivery| {
            if let Some(handler) = handler.get() {
                handler.handle(delivery.payload());
            }
            std::future::ready(Ok::<_, Infallible>(()))
        });
        let worker = Worker::builder(broker).subscribe(subscription(task)?, service).build()?;
        let (end, ended) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = ended.await;
        };
        self.running = Some((end, tokio::spawn(worker.run_until(shutdown))));
        Ok(())
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        let _ = self.handler.set(handler.clone());
        if let Some((broker, task)) = self.parts.take() {
            self.start(broker, &task)?;
        }
        self.target += count;
        let Some((_, running)) = &mut self.running else { return Err("the worker is closed".into()) };
        tokio::select! {
            () = handler.handled(self.target) => Ok(()),
            ended = running => Err(format!("the worker ended: {:?}", ended?).into()),
        }
    }

    async fn close(self: Box<Self>) -> Result<()> {
        let Some((end, running)) = self.running else { return Ok(()) };
        let _ = end.send(());
        Ok(running.await??)
    }
}
