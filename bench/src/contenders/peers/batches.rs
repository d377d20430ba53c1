//! `mq-bridge`'s publishers, batch by batch: one for each partition, since each has one place to publish to.

use std::mem;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use mq_bridge::traits::MessagePublisher;
use mq_bridge::{CanonicalMessage, SentBatch};

use super::window::Window;
use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load};

/// Messages of a batch.
const BATCH: usize = 500;
/// Batches under way.
const PIPELINE: usize = 16;

pub(super) struct Batches<P> {
    lanes: Vec<Lane<P>>,
    passed: usize,
    under_way: Window<BoxFuture<'static, Result<()>>>,
}

struct Lane<P> {
    publisher: Arc<P>,
    batch: Vec<CanonicalMessage>,
}

impl<P: MessagePublisher + 'static> Batches<P> {
    pub(super) fn new(publishers: Vec<P>) -> Self {
        let lane = |publisher| Lane { publisher: Arc::new(publisher), batch: Vec::new() };
        let lanes = publishers.into_iter().map(lane).collect();
        Batches { lanes, passed: 0, under_way: Window::of(PIPELINE) }
    }

    async fn add(&mut self, item: Item) -> Result<()> {
        let number = self.passed % self.lanes.len();
        self.passed += 1;
        let lane = &mut self.lanes[number];
        lane.batch.push(CanonicalMessage::new_bytes(item.payload, None));
        if lane.batch.len() < BATCH { Ok(()) } else { self.send(number).await }
    }

    async fn send(&mut self, number: usize) -> Result<()> {
        let lane = &mut self.lanes[number];
        let (publisher, batch) = (lane.publisher.clone(), mem::take(&mut lane.batch));
        if batch.is_empty() {
            return Ok(());
        }
        self.under_way.push(async move { all(publisher.send_batch(batch).await?) }.boxed()).await?;
        self.under_way.begin()
    }

    async fn send_rest(&mut self) -> Result<()> {
        for number in 0..self.lanes.len() {
            self.send(number).await?;
        }
        Ok(())
    }
}

/// Fails unless all of the batch is confirmed.
pub(super) fn all(sent: SentBatch) -> Result<()> {
    match sent {
        SentBatch::Ack => Ok(()),
        SentBatch::Partial { failed, .. } => match failed.into_iter().next() {
            Some((_, error)) => Err(error.into()),
            None => Ok(()),
        },
    }
}

#[async_trait]
impl<P: MessagePublisher + 'static> Publish for Batches<P> {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        for number in 0..count {
            self.add(load.item(number)).await?;
        }
        self.send_rest().await?;
        self.confirmed().await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            self.add(item).await?;
        }
        self.send_rest().await
    }

    async fn confirmed(&mut self) -> Result<()> {
        self.under_way.confirmed().await?;
        for lane in &self.lanes {
            lane.publisher.flush().await?;
        }
        Ok(())
    }
}
