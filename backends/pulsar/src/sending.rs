//! The task behind a publisher: producers on one set of connections after another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anybroker_core::kit::{Pending, Supervision};
use anybroker_core::{Error, Fate, Kind, Message, Position, Receipt, Result};
use futures::future::BoxFuture;
use pulsar::Payload;
use pulsar::message::Message as Frame;
use pulsar::proto::{
    BaseCommand, CommandCloseProducer, CommandProducer, CommandSend, CommandSendReceipt, MessageIdData,
    base_command::Type,
};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::connections::Connections;
use crate::error::{lost, not_stored};
use crate::publisher::refuse;
use crate::record::{metadata, partition_key};
use crate::topology::{Context, View};
use crate::wire::{Sent, Wire};

/// Messages in call order.
pub(crate) type Batch = Vec<Pending>;
/// Connects, and looks at the topic and the requirements again.
pub(crate) type Reopen = Box<dyn Fn() -> BoxFuture<'static, Result<(Connections, View)>> + Send + Sync>;

/// What the task needs.
pub(crate) struct Sender {
    pub(crate) context: Arc<Context>,
    pub(crate) first: Option<(Connections, View)>,
    pub(crate) reopen: Reopen,
}

impl Sender {
    /// Publishes what comes, until nobody can send any more.
    pub(crate) async fn run(mut self, mut batches: mpsc::UnboundedReceiver<Batch>, abandon: Arc<Notify>) {
        let mut waiting: VecDeque<Pending> = VecDeque::new();
        let mut lane = None;
        loop {
            if waiting.is_empty() {
                let Some(batch) = batches.recv().await else { return close(lane).await };
                waiting.extend(batch);
            }
            let mut open = match lane.take().filter(Lane::stands) {
                Some(open) => open,
                None => match self.open().await {
                    Ok(open) => open,
                    Err(error) => {
                        refuse(waiting.drain(..), &error);
                        while let Ok(batch) = batches.try_recv() {
                            refuse(batch, &error);
                        }
                        continue;
                    }
                },
            };
            if open.publish(&mut waiting, &mut batches, &abandon).await {
                lane = Some(open);
            }
        }
    }

    /// Connects within the patience of a message.
    async fn open(&mut self) -> Result<Lane> {
        let until = Instant::now() + self.context.config.publish_deadline;
        let mut waits = Supervision::new();
        loop {
            match tokio::time::timeout_at(until, self.try_open()).await {
                Ok(Ok(lane)) => return Ok(lane),
                Ok(Err(error)) if is_final(&error) => return Err(error),
                Ok(Err(error)) => {
                    let next = Instant::now() + waits.next_wait();
                    if next >= until {
                        return Err(error);
                    }
                    tokio::time::sleep_until(next).await;
                }
                Err(_) => {
                    return Err(Error::new(
                        Kind::TimedOut,
                        "publish",
                        "no connection within publish_deadline",
                    ));
                }
            }
        }
    }

    async fn try_open(&mut self) -> Result<Lane> {
        let (connections, view) = match self.first.take().filter(|(connections, _)| connections.stand()) {
            Some(first) => first,
            None => (self.reopen)().await?,
        };
        Lane::open(&self.context, connections, &view).await
    }
}

fn is_final(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Unmet | Kind::InvalidConfiguration | Kind::Unsupported | Kind::PermissionDenied
    )
}

async fn close(lane: Option<Lane>) {
    if let Some(lane) = lane {
        lane.close().await;
    }
}

/// The producers of all partitions.
struct Lane {
    connections: Connections,
    producers: Vec<Producer>,
    answers: mpsc::UnboundedReceiver<(u32, Sent)>,
    /// Where the next message without a key goes.
    turn: u32,
    patience: Duration,
}

/// A producer of one partition.
struct Producer {
    wire: Arc<Wire>,
    id: u64,
    name: String,
    next: u64,
    /// In the order in which they were sent, which is that of their receipts.
    in_flight: VecDeque<(u64, Pending)>,
}

impl Lane {
    async fn open(context: &Context, mut connections: Connections, view: &View) -> Result<Self> {
        let (events, answers) = mpsc::unbounded_channel();
        let mut producers = Vec::new();
        for partition in 0..view.count() {
            let topic = context.full(&view.name(partition));
            let wire = connections.to("publish", &topic).await?;
            let id = wire.id();
            wire.listen_as_producer(id, (partition, events.clone()));
            let name = create(&wire, topic, id).await?;
            producers.push(Producer { wire, id, name, next: 0, in_flight: VecDeque::new() });
        }
        let patience = context.config.publish_deadline;
        Ok(Lane { connections, producers, answers, turn: 0, patience })
    }

    fn stands(&self) -> bool {
        self.connections.stand()
    }

    /// Publishes until nothing waits and nothing is on its way, which it says, or until a connection or producer ends:
    /// then what was sent ends as unknown, and what was not stays in `waiting`.
    async fn publish(
        &mut self,
        waiting: &mut VecDeque<Pending>,
        batches: &mut mpsc::UnboundedReceiver<Batch>,
        abandon: &Notify,
    ) -> bool {
        let mut lost = self.connections.lost();
        let mut progress = Instant::now();
        loop {
            drop_refused(waiting);
            let next =
                waiting.front().and_then(|pending| pending.message()).map(|message| self.partition(message));
            let wire = next.and_then(|partition| self.producers.get(partition)).map(|p| p.wire.clone());
            let flying = self.producers.iter().any(|producer| !producer.in_flight.is_empty());
            if wire.is_none() && !flying {
                match batches.try_recv() {
                    Ok(batch) => waiting.extend(batch),
                    Err(_) => return true,
                }
                continue;
            }
            tokio::select! {
                biased;
                Some((partition, sent)) = self.answers.recv() => {
                    progress = Instant::now();
                    if !self.answered(partition, sent) {
                        return false;
                    }
                }
                room = room(wire.as_deref()), if wire.is_some() => {
                    let (Ok(room), Some(partition), Some(pending)) = (room, next, waiting.pop_front()) else {
                        return false;
                    };
                    if !flying {
                        progress = Instant::now();
                    }
                    if let Some((frame, pending)) = self.frame(partition, pending) {
                        room.send(frame);
                        self.sent(partition, pending);
                    }
                }
                Some(batch) = batches.recv() => waiting.extend(batch),
                () = &mut lost => return false,
                () = abandon.notified() => return false,
                () = tokio::time::sleep_until(progress + self.patience) => return false,
            }
        }
    }

    /// The partition of a key is what Pulsar's clients with Murmur3 say; messages without one take turns.
    fn partition(&mut self, message: &Message) -> usize {
        match &message.key {
            _ if self.producers.len() == 1 => 0,
            Some(key) => {
                let (key, _) = partition_key(key.as_bytes());
                partition_of(&key, self.producers.len())
            }
            None => self.turn as usize % self.producers.len(),
        }
    }

    fn frame(&mut self, partition: usize, pending: Pending) -> Option<(Frame, Pending)> {
        let message = pending.message()?;
        if message.key.is_none() {
            self.turn = self.turn.wrapping_add(1);
        }
        let producer = self.producers.get(partition)?;
        let mut metadata = metadata(message);
        metadata.producer_name = producer.name.clone();
        metadata.sequence_id = producer.next;
        metadata.publish_time = now();
        let send = CommandSend { producer_id: producer.id, sequence_id: producer.next, ..Default::default() };
        let command = BaseCommand { r#type: Type::Send as i32, send: Some(send), ..Default::default() };
        let payload = Payload { metadata, data: message.payload.to_vec() };
        Some((Frame { command, payload: Some(payload) }, pending))
    }

    fn sent(&mut self, partition: usize, pending: Pending) {
        if let Some(producer) = self.producers.get_mut(partition) {
            producer.in_flight.push_back((producer.next, pending));
            producer.next += 1;
        }
    }

    /// Takes the broker's answer; says whether its producer goes on.
    fn answered(&mut self, partition: u32, sent: Sent) -> bool {
        let Some(producer) = self.producers.get_mut(partition as usize) else { return true };
        match sent {
            Sent::Receipt(receipt) => {
                if let Some(pending) = producer.take(receipt.sequence_id) {
                    confirm(pending, partition, &receipt);
                }
                true
            }
            Sent::Error(error) => {
                if let Some(pending) = producer.take(error.sequence_id) {
                    pending.fail(not_stored(error.error, &error.message));
                }
                true
            }
            Sent::Closed => false,
        }
    }

    /// Closes the producers, so that the broker need not wait for the connection's end.
    async fn close(self) {
        for producer in &self.producers {
            let bye = producer.wire.request("close", |request_id| BaseCommand {
                r#type: Type::CloseProducer as i32,
                close_producer: Some(CommandCloseProducer { producer_id: producer.id, request_id }),
                ..Default::default()
            });
            if let Err(error) = bye.await {
                tracing::debug!(%error, "a producer was not closed; its connection ends it");
                return;
            }
        }
    }
}

impl Producer {
    fn take(&mut self, sequence: u64) -> Option<Pending> {
        let at = self.in_flight.iter().position(|(number, _)| *number == sequence)?;
        self.in_flight.remove(at).map(|(_, pending)| pending)
    }
}

async fn room(wire: Option<&Wire>) -> Result<mpsc::Permit<'_, Frame>> {
    match wire {
        Some(wire) => wire.room().await,
        None => Err(lost("publish")),
    }
}

fn drop_refused(waiting: &mut VecDeque<Pending>) {
    while let Some(error) = waiting.front().and_then(Pending::refusal) {
        if let Some(pending) = waiting.pop_front() {
            pending.fail(error);
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

/// A broker that deduplicates answers with no place when it stores nothing:
/// <https://pulsar.apache.org/docs/concepts-messaging#message-deduplication>.
fn confirm(pending: Pending, partition: u32, receipt: &CommandSendReceipt) {
    match receipt.message_id.as_ref().filter(|id| id.ledger_id != u64::MAX) {
        Some(id) => {
            let position = Position { partition, offset: offset(id) };
            pending.confirm(Receipt { position: Some(position), duplicate: false });
        }
        None => {
            let text = "the broker took it for a repetition and stored nothing";
            pending.fail(Error::new(Kind::Unexpected, "publish", text).with_fate(Fate::NotApplied));
        }
    }
}

/// Ledger and entry as one number that rises with both, as Pulsar's own tools do it.
pub(crate) fn offset(id: &MessageIdData) -> u64 {
    const ENTRY_BITS: u32 = 28;
    id.ledger_id << ENTRY_BITS | id.entry_id
}

/// Where a key goes: as with Pulsar's other clients where they are told to hash by Murmur3, which is the one that all of
/// them have.
fn partition_of(key: &str, partitions: usize) -> usize {
    const POSITIVE: u32 = 0x7fff_ffff;
    // Reading from memory does not fail.
    let hash = murmur3::murmur3_32(&mut key.as_bytes(), 0).unwrap_or_default();
    (hash & POSITIVE) as usize % partitions
}

/// Creates a producer; the broker names it.
async fn create(wire: &Wire, topic: String, producer_id: u64) -> Result<String> {
    let answer = wire.request("publish", |request_id| BaseCommand {
        r#type: Type::Producer as i32,
        producer: Some(CommandProducer {
            topic,
            producer_id,
            request_id,
            user_provided_producer_name: Some(false),
            ..Default::default()
        }),
        ..Default::default()
    });
    let success = answer.await?.producer_success.ok_or_else(|| lost("publish"))?;
    Ok(success.producer_name)
}
