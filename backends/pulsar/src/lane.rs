//! A partition that a member consumes from: what has arrived, what is unacknowledged, and what the broker may still send.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::{AckPlan, Incoming, Session};
use anybroker_core::{RecordBuffer, Result};
use pulsar::Payload;
use pulsar::proto::command_ack::AckType;
use pulsar::proto::command_subscribe::{InitialPosition, SubType};
use pulsar::proto::{
    BaseCommand, CommandAck, CommandCloseConsumer, CommandFlow, CommandMessage,
    CommandRedeliverUnacknowledgedMessages, CommandSubscribe, KeySharedMeta, KeySharedMode, MessageIdData,
    base_command::Type,
};
use tokio::time::Instant;

use crate::batch::{count, messages};
use crate::config::SubscriptionType;
use crate::sending::offset;
use crate::wire::{Event, Events, Wire};

/// Ids in one frame of acknowledgements.
const ACKS: usize = 1_000;
/// How long the broker may still be about to begin, once it has said which member is the active one.
const BEGINS: Duration = Duration::from_secs(2);
/// How long the broker may keep back what it owes: long after it has gone back to what is unacknowledged.
const OWES: Duration = Duration::from_millis(500);
/// What it owes may have been acknowledged by another member: then nothing comes, however often it is asked.
const MOST_PATIENT: Duration = Duration::from_secs(60);
/// How many acknowledged entries are remembered: ten of the broker's reads.
const RECENT: usize = 1_000;

/// What a subscription is made with.
pub(crate) struct Asked {
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) kind: SubscriptionType,
    pub(crate) name: String,
    /// What the broker may send before any of it is taken in.
    pub(crate) window: u32,
}

/// A place in the topic: ledger and entry.
type Place = (u64, u64);

/// A consumer of one partition, on one connection.
#[derive(Debug)]
pub(crate) struct Lane {
    wire: Arc<Wire>,
    consumer: u64,
    partition: u32,
    /// Of the session; none while another member is the active one.
    generation: Option<u32>,
    arrived: VecDeque<(CommandMessage, Payload)>,
    buffer: RecordBuffer,
    /// The place of each message that the session has, by the number that the session knows it by.
    places: BTreeMap<u64, Place>,
    /// How many messages of an entry are not acknowledged: the entry is, with the last of them. It is known for a while longer.
    left: HashMap<Place, u32>,
    /// The last entries of which none is left.
    recent: VecDeque<Place>,
    /// Those of them that came again: the broker may count them as held by us once more.
    again: Vec<Place>,
    /// Of a subscription whose partitions have one member at a time: the last place that came. The broker begins again with
    /// what is unacknowledged whenever it has chosen the active member, also when it has chosen the same one.
    rising: bool,
    last: Option<Place>,
    /// The first place that came before the broker said that this member is the active one.
    early: Option<Place>,
    /// When to ask for what the broker owes, which is what came early and was let go. It may have been waiting for the next
    /// message of a publisher already when it went back, and then waits on.
    owed: Option<Instant>,
    /// How long after that to ask again.
    patience: Duration,
    next: u64,
    window: u32,
    /// Permits that were used up and not granted again.
    used: u32,
    /// Until then the last permit is not granted. A broker that chooses the active member of a failover subscription
    /// ignores what is granted at that moment (`readOnActiveConsumerTask` of its dispatcher), and waits for the next
    /// grant: there must be one.
    kept: Option<Instant>,
}

impl Lane {
    /// Subscribes; nothing arrives before [`flow`](Self::flow).
    ///
    /// # Errors
    /// `NotFound`, `Fenced` if the subscription is another's alone, `PermissionDenied`, `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// A cancelled call may have subscribed; the connection's end ends it.
    pub(crate) async fn subscribe(
        wire: Arc<Wire>,
        partition: u32,
        asked: &Asked,
        events: Events<Event>,
    ) -> Result<Self> {
        let consumer = wire.id();
        wire.listen_as_consumer(consumer, events);
        let kind = match asked.kind {
            SubscriptionType::KeyShared => SubType::KeyShared,
            SubscriptionType::Failover => SubType::Failover,
            SubscriptionType::Exclusive => SubType::Exclusive,
        };
        let shared = KeySharedMeta {
            key_shared_mode: KeySharedMode::AutoSplit as i32,
            allow_out_of_order_delivery: Some(false),
            ..Default::default()
        };
        wire.request("receive", |request_id| BaseCommand {
            r#type: Type::Subscribe as i32,
            subscribe: Some(CommandSubscribe {
                topic: asked.topic.clone(),
                subscription: asked.group.clone(),
                sub_type: kind as i32,
                consumer_id: consumer,
                request_id,
                consumer_name: Some(asked.name.clone()),
                durable: Some(true),
                initial_position: Some(InitialPosition::Earliest as i32),
                key_shared_meta: (kind == SubType::KeyShared).then_some(shared),
                ..Default::default()
            }),
            ..Default::default()
        })
        .await?;
        let failover = asked.kind == SubscriptionType::Failover;
        let window = asked.window.max(if failover { 2 } else { 1 });
        Ok(Lane {
            wire,
            consumer,
            partition,
            generation: None,
            arrived: VecDeque::new(),
            buffer: RecordBuffer::new(),
            places: BTreeMap::new(),
            left: HashMap::new(),
            recent: VecDeque::new(),
            again: Vec::new(),
            rising: asked.kind != SubscriptionType::KeyShared,
            last: None,
            early: None,
            owed: None,
            patience: OWES,
            next: 0,
            window,
            used: window,
            kept: failover.then(|| Instant::now() + BEGINS),
        })
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(crate) fn partition(&self) -> u32 {
        self.partition
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.generation.is_some()
    }

    /// The partition's messages come to this member from now on.
    pub(crate) fn assign(&mut self, session: &Session) {
        if self.generation.is_none() {
            self.generation = Some(session.assign(self.partition));
        }
    }

    /// The broker has chosen this member of a failover subscription, and begins.
    pub(crate) fn activate(&mut self, session: &Session) {
        self.assign(session);
        self.kept = Some(Instant::now() + BEGINS);
        self.owed = self.early.map(|_| Instant::now() + OWES);
        self.patience = OWES;
    }

    /// When to [`flow`](Self::flow) although nothing has happened.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        self.kept.into_iter().chain(self.owed).min()
    }

    /// They go to another member: it gets what is unacknowledged, so that what the session has is void.
    pub(crate) fn revoke(&mut self, session: &Session) {
        (self.early, self.owed) = (None, None);
        if self.generation.take().is_some() {
            session.revoke(self.partition);
            self.places.clear();
            self.left.clear();
            self.recent.clear();
            self.again.clear();
            self.last = None;
            self.used += self.arrived.drain(..).map(|(_, payload)| count(&payload.metadata)).sum::<u32>();
        }
    }

    /// A message has arrived; it waits until the session has room. What the session has, or has acknowledged, and what is
    /// another member's is let go.
    ///
    /// Nothing was given back, so that what comes again comes without a cause. The dispatcher of a shared subscription goes
    /// back to what is unacknowledged when a first member joins, also while it reads some of that for the members before
    /// (<https://github.com/apache/pulsar/pull/18227>). What was acknowledged by then is acknowledged again.
    ///
    /// False if the broker skips messages. Between choosing the active member of a failover subscription and going back to
    /// what is unacknowledged, it reads on for that member when what it wrote to the old one has gone out
    /// (`dispatchEntriesToConsumer` of its dispatcher), and says only then whom it chose. If such a read ends just after it
    /// went back, it goes on from there: then only another choice has it go back again.
    pub(crate) fn arrive(&mut self, message: CommandMessage, payload: Payload) -> bool {
        let place = (message.message_id.ledger_id, message.message_id.entry_id);
        self.owed = None;
        if self.is_ours() && self.early.take().is_some_and(|early| place > early) {
            return false;
        }
        if self.knows(&place) || !self.is_ours() {
            self.early = self.early.or((!self.is_ours()).then_some(place));
            self.again.extend((self.left.get(&place) == Some(&0)).then_some(place));
            self.used += count(&payload.metadata);
            return true;
        }
        self.last = Some(place);
        self.left.insert(place, count(&payload.metadata));
        self.arrived.push_back((message, payload));
        true
    }

    fn knows(&self, place: &Place) -> bool {
        match self.rising {
            true => self.last.is_some_and(|last| *place <= last),
            false => self.left.contains_key(place),
        }
    }

    /// Whether something is to be acknowledged that nobody settles.
    pub(crate) fn acknowledges_again(&self) -> bool {
        !self.again.is_empty()
    }

    pub(crate) fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Gives up to `room` messages to the session; says how many. An entry goes whole.
    ///
    /// # Errors
    /// What an entry that does not read fails with.
    pub(crate) fn take_in(&mut self, session: &Session, room: usize) -> Result<usize> {
        let Some(generation) = self.generation else { return Ok(0) };
        let mut incoming = Vec::new();
        while incoming.len() < room {
            let Some((message, payload)) = self.arrived.pop_front() else { break };
            self.used += count(&payload.metadata);
            self.read(&mut incoming, message, payload)?;
        }
        let taken = incoming.len();
        if taken > 0 {
            session.push_all(self.partition, generation, incoming);
        }
        Ok(taken)
    }

    fn read(
        &mut self,
        incoming: &mut Vec<Incoming>,
        message: CommandMessage,
        payload: Payload,
    ) -> Result<()> {
        let id = &message.message_id;
        let (place, offset) = ((id.ledger_id, id.entry_id), offset(id));
        let (attempts, stored) = (message.redelivery_count(), payload.metadata.publish_time as i64);
        let batched = payload.metadata.num_messages_in_batch.is_some();
        let records = messages(&mut self.buffer, payload)?;
        for record in records {
            let native = self.next;
            self.next += 1;
            self.places.insert(native, place);
            incoming.push(Incoming {
                record,
                native,
                // The messages of a batch share one.
                offset: (!batched).then_some(offset),
                stored,
                attempts,
                redelivered: attempts > 0,
            });
        }
        Ok(())
    }

    /// Grants what was used up, once it is worth a frame, and asks for what is owed.
    pub(crate) async fn flow(&mut self) -> Result<()> {
        self.claim().await?;
        let begun = self.kept.take_if(|until| *until <= Instant::now()).is_some();
        let granted = self.used - u32::from(self.kept.is_some()).min(self.used);
        if granted == 0 || granted < self.window.div_ceil(2) && !begun {
            return Ok(());
        }
        let flow = CommandFlow { consumer_id: self.consumer, message_permits: granted };
        self.used -= granted;
        let command = BaseCommand { r#type: Type::Flow as i32, flow: Some(flow), ..Default::default() };
        self.wire.send(command).await
    }

    /// Has the broker go back to what is unacknowledged, until something comes. Only where nothing is on its way: what a read
    /// brings that was under way it would skip.
    async fn claim(&mut self) -> Result<()> {
        if self.owed.is_none_or(|at| Instant::now() < at) {
            return Ok(());
        }
        self.patience = (self.patience * 2).min(MOST_PATIENT);
        self.owed = Some(Instant::now() + self.patience);
        tracing::debug!(partition = self.partition, "the broker keeps messages back; asked for again");
        let redeliver =
            CommandRedeliverUnacknowledgedMessages { consumer_id: self.consumer, ..Default::default() };
        let command = BaseCommand {
            r#type: Type::RedeliverUnacknowledgedMessages as i32,
            redeliver_unacknowledged_messages: Some(redeliver),
            ..Default::default()
        };
        self.wire.send(command).await
    }

    /// The entries that `plan` completes.
    fn done(&mut self, plan: AckPlan) -> Vec<MessageIdData> {
        let mut places: Vec<Place> =
            plan.singles.iter().filter_map(|native| self.places.remove(native)).collect();
        if let Some(upto) = plan.upto {
            let later = self.places.split_off(&(upto + 1));
            places.extend(std::mem::replace(&mut self.places, later).into_values());
        }
        places.retain(|place| {
            let left = self.left.get_mut(place);
            left.is_some_and(|left| {
                *left -= 1;
                *left == 0
            })
        });
        self.remember(&places);
        places.append(&mut self.again);
        let id = |(ledger_id, entry_id)| MessageIdData {
            ledger_id,
            entry_id,
            partition: Some(self.partition as i32),
            ..Default::default()
        };
        places.into_iter().map(id).collect()
    }

    /// Forgets what was acknowledged long ago.
    fn remember(&mut self, done: &[Place]) {
        self.recent.extend(done);
        let many = self.recent.len().saturating_sub(RECENT);
        for place in self.recent.drain(..many) {
            self.left.remove(&place);
        }
    }

    /// Tells the broker what the session has acknowledged; with `confirmed`, waits for its answer.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// What was acknowledged in a cancelled call may come again on the next connection.
    pub(crate) async fn acknowledge(&mut self, session: &Session, confirmed: bool) -> Result<()> {
        let done = self.done(session.take_acks(self.partition, true));
        for ids in done.chunks(ACKS) {
            self.wire.send(self.ack(ids.to_vec(), None)).await?;
        }
        if confirmed && self.is_ours() {
            // One that acknowledges nothing: its answer comes after all earlier ones were taken.
            self.wire.request("flush", |request_id| self.ack(Vec::new(), Some(request_id))).await?;
        }
        Ok(())
    }

    fn ack(&self, message_id: Vec<MessageIdData>, request_id: Option<u64>) -> BaseCommand {
        let ack = CommandAck {
            consumer_id: self.consumer,
            ack_type: AckType::Individual as i32,
            message_id,
            request_id,
            ..Default::default()
        };
        BaseCommand { r#type: Type::Ack as i32, ack: Some(ack), ..Default::default() }
    }

    /// Leaves the group: what is unacknowledged goes to others.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// A cancelled call may have left.
    pub(crate) async fn close(&self) -> Result<()> {
        let bye = self.wire.request("close", |request_id| BaseCommand {
            r#type: Type::CloseConsumer as i32,
            close_consumer: Some(CommandCloseConsumer { consumer_id: self.consumer, request_id }),
            ..Default::default()
        });
        bye.await.map(drop)
    }
}
