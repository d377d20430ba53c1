//! A channel for each queue, which acknowledges each message, or all up to every so many-th.

use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;
use futures::stream::SelectAll;
use futures::{Stream, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection};

use super::outgoing::{ID, KEY};
use crate::Result;
use crate::contender::Consume;
use crate::harness::Handler;
use crate::task::Task;

/// How it acknowledges, and whether it looks at the ids of messages, as ours does.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// All up to every so many-th message; none: each message.
    every: Option<usize>,
    ids: bool,
}

impl Way {
    pub(super) const EACH: Way = Way { every: None, ids: false };
    pub(super) const ALL: Way = Way { every: Some(200), ids: false };
    pub(super) const IDS: Way = Way { every: Some(200), ids: true };
}

/// Deliveries that are taken over at once.
const CHUNK: usize = 128;

type Chunk = Vec<lapin::Result<Delivery>>;
type Arrivals = Pin<Box<dyn Stream<Item = (usize, Chunk)> + Send>>;

pub(super) struct Consuming {
    _connection: Connection,
    lanes: Vec<Lane>,
    arrivals: SelectAll<Arrivals>,
    ids: bool,
}

impl Consuming {
    pub(super) async fn open(task: &Task, way: Way) -> Result<Self> {
        let connection = super::connect(task).await?;
        let prefetch = task.prefetch / task.partitions.max(1) as usize;
        let every = way.every.map(|every| every.min(prefetch / 2));
        let (mut lanes, mut arrivals) = (Vec::new(), SelectAll::new());
        for (number, queue) in super::queues(task).enumerate() {
            let channel = connection.create_channel().await?;
            let consumer = super::consumer(&channel, queue.clone(), prefetch).await?;
            let chunks: Arrivals = Box::pin(consumer.ready_chunks(CHUNK).map(move |chunk| (number, chunk)));
            arrivals.push(chunks);
            lanes.push(Lane { channel, queue, every, handled: Vec::new() });
        }
        Ok(Consuming { _connection: connection, lanes, arrivals, ids: way.ids })
    }
}

/// One queue.
struct Lane {
    channel: Channel,
    queue: ShortString,
    every: Option<usize>,
    /// The tags of what is handled and not acknowledged.
    handled: Vec<u64>,
}

impl Lane {
    /// Acknowledges what is due; at the end all of it.
    async fn acknowledge(&mut self, end: bool) -> Result<()> {
        let handled = self.handled.len();
        match (self.every, self.handled.last()) {
            (None, _) => {
                let each = BasicAckOptions { multiple: false };
                let sent = self.handled.iter().map(|tag| self.channel.basic_ack(*tag, each));
                try_join_all(sent).await?;
            }
            (Some(every), Some(last)) if end || handled >= every => {
                self.channel.basic_ack(*last, BasicAckOptions { multiple: true }).await?;
            }
            _ => return Ok(()),
        }
        self.handled.clear();
        Ok(())
    }

    /// Acknowledges the rest, and asks the queue something behind that: the answer comes when it has it.
    async fn finish(&mut self) -> Result<()> {
        self.acknowledge(true).await?;
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        self.channel.queue_declare(self.queue.clone(), passive, FieldTable::default()).await?;
        Ok(())
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        let mut handled = 0;
        while handled < count {
            let (number, chunk) = self.arrivals.next().await.ok_or("the consumers have ended")?;
            let lane = &mut self.lanes[number];
            handled += chunk.len() as u64;
            for delivery in chunk {
                let delivery = delivery?;
                if self.ids {
                    black_box((header(&delivery, ID), header(&delivery, KEY)));
                }
                handler.handle(&delivery.data);
                lane.handled.push(delivery.delivery_tag);
            }
            lane.acknowledge(false).await?;
        }
        for lane in &mut self.lanes {
            lane.finish().await?;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn header<'a>(delivery: &'a Delivery, name: &str) -> Option<&'a [u8]> {
    match delivery.properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.as_bytes()),
        _ => None,
    }
}
