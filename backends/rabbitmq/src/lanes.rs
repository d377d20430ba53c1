//! The queues that a consumer consumes from, each on a channel of its own.
//!
//! A channel is closed and its consumer never cancelled: a cancel lets the next consumer start while we still hold
//! unacknowledged messages, which would then come late. Closing returns them to the front of the queue, in order.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use anybroker_core::kit::{Incoming, Session, within};
use anybroker_core::{RecordBuffer, Result};
use futures::stream::{self, SelectAll};
use futures::{Stream, StreamExt, future};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicQosOptions};
use lapin::{Channel, Consumer};
use tokio::time::Instant;

use crate::connect::Live;
use crate::consuming::consume;
use crate::error::typed;
use crate::locks::Lock;
use crate::names::Layout;
use crate::record::{delivery_count, record};
use crate::sharing::Held;
use crate::wire::{Seen, look};

/// Deliveries that are taken over at once.
const CHUNK: usize = 128;

/// One queue that we consume from.
#[derive(Debug)]
pub(crate) struct Lane {
    channel: Channel,
    generation: u32,
    /// The right to consume from a partition; a queue without partitions is for every member to wait at.
    lock: Option<Lock>,
    /// Until when it waits for its deliveries to be settled before it is given away.
    pub(crate) drain_until: Option<Instant>,
}

/// What a queue sends.
#[derive(Debug)]
pub(crate) enum Arrival {
    Deliveries(Vec<Delivery>),
    /// The channel or the queue is gone.
    Ended(Option<lapin::Error>),
}

/// An arrival with the partition and the generation that it is for.
pub(crate) type Arrived = (u32, u32, Arrival);

type Arrivals = Pin<Box<dyn Stream<Item = Arrived> + Send + Sync>>;

/// All lanes of one connection.
pub(crate) struct Lanes {
    session: Arc<Session>,
    layout: Layout,
    live: Live,
    prefetch: u16,
    /// The broker also counts what came back unseen, with a closed channel's prefetch. So a message comes with one
    /// attempt less than the subscription allows: nobody gives up on it untried.
    most_attempts: u32,
    lanes: BTreeMap<u32, Lane>,
    arrivals: SelectAll<Arrivals>,
    buffer: RecordBuffer,
}

impl Lanes {
    pub(crate) fn new(session: Arc<Session>, layout: Layout, live: Live, prefetch: u16) -> Self {
        let limit = session.subscription().dead_letter.as_ref().and_then(|policy| policy.max_attempts);
        let most_attempts = limit.map_or(u32::MAX, |limit| limit.saturating_sub(1));
        let (lanes, arrivals, buffer) = (BTreeMap::new(), SelectAll::new(), RecordBuffer::new());
        Lanes { session, layout, live, prefetch, most_attempts, lanes, arrivals, buffer }
    }

    /// Starts to consume from a partition.
    pub(crate) async fn open(&mut self, partition: u32, lock: Option<Lock>) -> Result<()> {
        let channel = self.live.channel("receive").await?;
        let queue = self.layout.queue(partition);
        let consumer = within(self.live.deadline, "receive", async {
            let prefetch = channel.basic_qos(self.prefetch, BasicQosOptions::default()).await;
            prefetch.map_err(|e| typed("receive", e))?;
            consume(&channel, &queue).await.map_err(|e| typed("receive", e))
        })
        .await?;
        let generation = self.session.assign(partition);
        self.arrivals.push(arrivals(consumer, partition, generation));
        let lane = Lane { channel, generation, lock, drain_until: None };
        self.lanes.insert(partition, lane);
        Ok(())
    }

    /// Waits for the next arrival; for ever, if there is no lane.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn arrival(&mut self) -> Arrived {
        match self.arrivals.next().await {
            Some(arrived) => arrived,
            None => future::pending().await,
        }
    }

    /// Hands deliveries to the session.
    pub(crate) fn push(&mut self, partition: u32, generation: u32, deliveries: Vec<Delivery>) {
        let (buffer, most) = (&mut self.buffer, self.most_attempts);
        let incoming = deliveries.into_iter().map(|delivery| incoming(buffer, delivery, most));
        self.session.push_all(partition, generation, incoming);
    }

    /// Forgets a lane whose channel has ended by itself; says whether it was one of ours.
    pub(crate) async fn ended(&mut self, partition: u32, generation: u32) -> bool {
        if self.lanes.get(&partition).is_none_or(|lane| lane.generation != generation) {
            return false;
        }
        self.session.revoke(partition);
        if let Some(lock) = self.lanes.remove(&partition).and_then(|lane| lane.lock) {
            lock.release(&self.live).await;
        }
        true
    }

    /// Sends the acknowledgements that may be sent; with `singles` also those behind a gap.
    pub(crate) async fn acknowledge(&self, singles: bool) {
        for (partition, lane) in &self.lanes {
            let plan = self.session.take_acks(*partition, singles);
            if let Some(tag) = plan.upto {
                acknowledge(&lane.channel, tag, true).await;
            }
            for tag in plan.singles {
                acknowledge(&lane.channel, tag, false).await;
            }
        }
    }

    /// Sends all acknowledgements, and asks each queue something behind them: the answer comes when it has them.
    pub(crate) async fn flush(&self) -> Result<()> {
        self.acknowledge(true).await;
        let asked = self.lanes.keys().map(|partition| self.look(*partition));
        within(self.live.deadline, "flush", future::try_join_all(asked)).await.map(|_| ())
    }

    /// Looks at the queue of a lane, on its own channel.
    pub(crate) async fn look(&self, partition: u32) -> Result<Seen> {
        let Some(lane) = self.lanes.get(&partition) else {
            return Ok(Seen { ready: 0, consumers: 0 });
        };
        within(self.live.deadline, "receive", async {
            look(&lane.channel, &self.layout.queue(partition)).await.map_err(|e| typed("receive", e))
        })
        .await
    }

    /// Gives a partition away: what is acknowledged is told first, the rest goes back to the front of the queue.
    pub(crate) async fn release(&mut self, partition: u32) {
        self.acknowledge(true).await;
        let Some(mut lane) = self.lanes.remove(&partition) else { return };
        self.session.revoke(partition);
        self.free(&mut lane).await;
    }

    /// Closes all lanes at once, without a word about what was acknowledged.
    pub(crate) async fn close(&mut self) {
        for partition in self.lanes.keys() {
            self.session.revoke(*partition);
        }
        let mut lanes = std::mem::take(&mut self.lanes);
        future::join_all(lanes.values_mut().map(|lane| self.free(lane))).await;
    }

    /// The lock first: whoever takes it before the channel is closed waits behind us, as a consumer that is not active.
    async fn free(&self, lane: &mut Lane) {
        if let Some(lock) = lane.lock.take() {
            lock.release(&self.live).await;
        }
        // A channel that does not answer is gone with its connection.
        let _ = within(self.live.deadline, "close", async {
            lane.channel.close(200, "".into()).await.map_err(|e| typed("close", e))
        })
        .await;
    }

    pub(crate) fn get_mut(&mut self, partition: u32) -> Option<&mut Lane> {
        self.lanes.get_mut(&partition)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Lane)> {
        self.lanes.iter().map(|(partition, lane)| (*partition, lane))
    }

    /// What we have, in the order of the partitions.
    pub(crate) fn held(&self) -> Vec<Held> {
        let held = |(partition, lane): (u32, &Lane)| Held { partition, draining: lane.drain_until.is_some() };
        self.iter().map(held).collect()
    }
}

fn arrivals(consumer: Consumer, partition: u32, generation: u32) -> Arrivals {
    let chunks = consumer.ready_chunks(CHUNK).flat_map(|chunk| {
        let mut deliveries = Vec::with_capacity(chunk.len());
        let mut ended = None;
        for delivery in chunk {
            match delivery {
                Ok(delivery) => deliveries.push(delivery),
                Err(error) => ended = Some(Arrival::Ended(Some(error))),
            }
        }
        let deliveries = (!deliveries.is_empty()).then_some(Arrival::Deliveries(deliveries));
        stream::iter(deliveries.into_iter().chain(ended))
    });
    let end = stream::iter([Arrival::Ended(None)]);
    Box::pin(chunks.chain(end).map(move |arrival| (partition, generation, arrival)))
}

/// `most` bounds the attempts that a message comes with.
fn incoming(buffer: &mut RecordBuffer, delivery: Delivery, most: u32) -> Incoming {
    let count = delivery_count(&delivery.properties);
    let stored = delivery.properties.timestamp().unwrap_or(0);
    Incoming {
        record: record(buffer, &delivery.properties, delivery.routing_key.as_str(), delivery.data),
        native: delivery.delivery_tag,
        offset: None,
        stored: i64::try_from(stored).unwrap_or(0).saturating_mul(1_000),
        // The flag is all that a classic queue gives.
        attempts: count.unwrap_or(u32::from(delivery.redelivered)).min(most),
        redelivered: delivery.redelivered,
    }
}

async fn acknowledge(channel: &Channel, tag: u64, multiple: bool) {
    // On a channel that is gone an acknowledgement is nothing: the broker delivers again.
    if let Err(error) = channel.basic_ack(tag, BasicAckOptions { multiple }).await {
        tracing::debug!(%error, "an acknowledgement found its channel closed");
    }
}
