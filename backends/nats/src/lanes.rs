//! The partitions that a member has on one connection: pulling, and what comes.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anybroker_core::kit::{Incoming, Session};
use anybroker_core::{Error, Kind, RecordBuffer, Result};
use bytes::Bytes;
use tokio::time::Instant;

use crate::bucket::{Bucket, Lease};
use crate::config::Lanes as Mode;
use crate::groups::{self, From, Layout};
use crate::lane::{Arrival, Shared, Told, incoming};
use crate::link::Link;
use crate::pulls::{Came, Pulls};
use crate::streams::Found;
use crate::takeover::{refuse, take_back};

/// The most messages that are asked for at once.
const MOST_BATCH: usize = 1_000;
/// What is taken over at once.
const CHUNK: usize = 256;
/// The server writes a consumer's state ten times a second.
const WRITTEN_AFTER: Duration = Duration::from_millis(250);
const ACK: Bytes = Bytes::from_static(b"+ACK");
const PROGRESS: Bytes = Bytes::from_static(b"+WPI");

/// One partition.
#[derive(Debug)]
struct Lane {
    generation: u32,
    pulls: Pulls,
    lease: Lease,
    /// The number of the consumer's next delivery. Another one means that somebody else got a message, or that one was
    /// lost on the way to us.
    next_delivery: u64,
    /// What came while the session had no room, in order.
    staged: VecDeque<Incoming>,
    /// How many messages that the server counts as held, and which the session does not have, are still to come. Until then
    /// nothing is handed on: the server may deliver them in another order.
    owed: usize,
    /// Until when it waits for its deliveries to be settled before it is given away.
    drain_until: Option<Instant>,
    /// Something is missing: it is taken back before anything else is handed on.
    torn: bool,
}

/// What all lanes need.
pub(crate) struct Lanes {
    pub(crate) link: Arc<Link>,
    pub(crate) session: Arc<Session>,
    pub(crate) topic: Found,
    pub(crate) layout: Layout,
    pub(crate) bucket: Bucket,
    pub(crate) shared: Arc<Shared>,
    /// Where partitions begin that this consumer has for the first time; none where the group left off.
    pub(crate) from: Option<From>,
    /// The server also counts what came back unseen. So a message comes with one attempt less than the subscription
    /// allows: nobody gives up on it untried. See `burden_first` for the one that kills its process each time.
    pub(crate) most_attempts: u32,
    begun: Vec<u32>,
    lanes: BTreeMap<u32, Lane>,
    /// Leases of what was given away, and when the others may have it.
    leaving: Vec<(Instant, Lease)>,
    buffer: RecordBuffer,
    turn: u32,
}

impl Lanes {
    pub(crate) fn new(
        link: Arc<Link>,
        session: Arc<Session>,
        (topic, layout): (Found, Layout),
        (bucket, from): (Bucket, Option<From>),
        shared: Arc<Shared>,
    ) -> Self {
        let limit = session.subscription().dead_letter.as_ref().and_then(|policy| policy.max_attempts);
        let most_attempts = limit.map_or(u32::MAX, |limit| limit.saturating_sub(1));
        let (begun, lanes, buffer) = (Vec::new(), BTreeMap::new(), RecordBuffer::new());
        Lanes {
            leaving: Vec::new(),
            link,
            session,
            topic,
            layout,
            bucket,
            shared,
            from,
            most_attempts,
            begun,
            lanes,
            buffer,
            turn: 0,
        }
    }

    /// How many partitions we have and keep.
    pub(crate) fn staying(&self) -> Vec<u32> {
        self.lanes
            .iter()
            .filter(|(_, lane)| lane.drain_until.is_none())
            .map(|(partition, _)| *partition)
            .collect()
    }

    pub(crate) fn leases(&self) -> Vec<(u32, Lease)> {
        self.lanes.iter().map(|(partition, lane)| (*partition, lane.lease.clone())).collect()
    }

    /// A request at the server ends before the partition can be somebody else's.
    fn expires(&self) -> Duration {
        (self.bucket.timeout / 3).min(Duration::from_secs(3))
    }

    /// Starts to consume from a partition whose lease we have.
    pub(crate) async fn open(&mut self, partition: u32, lease: Lease) -> Result<()> {
        if let Some(from) = self.from.filter(|_| !self.begun.contains(&partition)) {
            let name = self.layout.consumer(partition);
            groups::delete(&self.link, "receive", &self.layout.stream, &name).await?;
            groups::create(&self.link, "receive", &self.topic, &self.layout, partition, from).await?;
            self.begun.push(partition);
        }
        self.shared.open(partition, lease.until);
        let (pulls, next_delivery, owed) = self.begin(partition).await?;
        let generation = self.session.assign(partition);
        self.session.hold_until(partition, lease.until);
        let staged = VecDeque::new();
        let lane =
            Lane { generation, pulls, lease, next_delivery, staged, owed, drain_until: None, torn: false };
        self.lanes.insert(partition, lane);
        Ok(())
    }

    /// Takes back what the server counts as held and not in the session, and opens an inbox for what comes.
    async fn begin(&self, partition: u32) -> Result<(Pulls, u64, usize)> {
        let info = take_back(&self.link, &self.layout, partition, |sequence| {
            self.shared.with(partition, |held| held.is_here(sequence)).unwrap_or(false)
        })
        .await?;
        let client = self.link.client("receive")?;
        let name = self.layout.consumer(partition);
        let pulls = Pulls::open(&client, &self.layout.stream, &name, self.expires()).await?;
        let here = self.shared.with(partition, |held| held.here()).unwrap_or(0);
        Ok((pulls, info.delivered.consumer_sequence + 1, info.num_ack_pending.saturating_sub(here)))
    }

    /// The connection is another one: goes on with what we have, after taking back what was lost on the way.
    pub(crate) async fn resume(&mut self) -> Result<()> {
        // A torn lane may have no place in the session any more: mending begins it altogether anew.
        let whole = self.lanes.iter().filter(|(_, lane)| !lane.torn);
        let partitions: Vec<u32> = whole.map(|(partition, _)| *partition).collect();
        for partition in partitions {
            // The client has subscribed to the old inbox again, and a request for it may still wait at the server: what was
            // sent there now would be missed when nothing came after it.
            if let Some(lane) = self.lanes.get_mut(&partition) {
                let _ = lane.pulls.close().await;
            }
            let (pulls, next_delivery, owed) = self.begin(partition).await?;
            if let Some(lane) = self.lanes.get_mut(&partition) {
                (lane.pulls, lane.next_delivery, lane.owed) = (pulls, next_delivery, owed);
            }
        }
        Ok(())
    }

    /// Begins the torn lanes again: the session lets go of everything, and all that is unacknowledged comes again.
    pub(crate) async fn mend(&mut self) -> Result<()> {
        let torn: Vec<u32> =
            self.lanes.iter().filter(|(_, lane)| lane.torn).map(|(partition, _)| *partition).collect();
        for partition in torn {
            let Some(lane) = self.lanes.get_mut(&partition) else { continue };
            tracing::debug!(partition, "a message is missing; everything unacknowledged is taken back");
            // Nothing more comes to the old inbox before the consumer is looked at; if its connection has gone, nothing at all.
            let _ = lane.pulls.close().await;
            lane.staged.clear();
            self.session.revoke(partition);
            self.shared.with(partition, |held| held.let_go());
            let (pulls, next_delivery, owed) = self.begin(partition).await?;
            let generation = self.session.assign(partition);
            if let Some(lane) = self.lanes.get_mut(&partition) {
                self.session.hold_until(partition, lane.lease.until);
                lane.owed = owed;
                (lane.generation, lane.pulls, lane.next_delivery) = (generation, pulls, next_delivery);
                lane.torn = false;
                if lane.drain_until.is_some() {
                    self.session.drain(partition);
                }
            }
        }
        Ok(())
    }

    /// Asks for messages where there is room, and hands on what waits for it.
    pub(crate) async fn pull(&mut self) -> Result<()> {
        let client = self.link.client("receive")?;
        let now = Instant::now();
        let (expires, strict) = (self.expires(), self.layout.lanes == Mode::Strict);
        let mut free = self.hand_on();
        for lane in self.lanes.values_mut() {
            lane.pulls.forget_late(now);
            free = free.saturating_sub(lane.pulls.outstanding);
        }
        let idle = (free / self.lanes.len().max(1) / 4).max(1);
        // Whoever comes first gets what there is, so it is not always the same.
        self.turn = self.turn.wrapping_add(1) % self.layout.partitions.max(1);
        let order: Vec<u32> =
            self.lanes.range(self.turn..).chain(self.lanes.range(..self.turn)).map(|(p, _)| *p).collect();
        for partition in order {
            let Some(lane) = self.lanes.get_mut(&partition) else { continue };
            let ours = lane.lease.until > now + expires;
            if lane.torn || lane.drain_until.is_some() || !ours {
                continue;
            }
            let outstanding = lane.pulls.outstanding;
            if lane.owed > outstanding {
                // Whatever the room: they are ours already.
                lane.pulls.ask(&client, lane.owed - outstanding).await?;
                continue;
            }
            if !lane.staged.is_empty() {
                continue;
            }
            let wanted = match (strict, lane.pulls.waiting) {
                (true, _) => 1,
                (false, 0) => idle,
                (false, waiting) => usize::try_from(waiting).unwrap_or(MOST_BATCH).clamp(1, MOST_BATCH),
            };
            if outstanding > 0 && (strict || outstanding * 2 > lane.pulls.batch) {
                continue;
            }
            // One may always wait at the server, so that a full session does not forget a partition.
            let batch = wanted.min(free).max(usize::from(outstanding == 0));
            if batch > 0 {
                lane.pulls.ask(&client, batch).await?;
                free = free.saturating_sub(batch);
            }
        }
        Ok(())
    }

    /// Hands what was staged to the session, as far as it has room; says how much is left.
    fn hand_on(&mut self) -> usize {
        let mut room = self.session.room().messages;
        for (partition, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.owed == 0) {
            if lane.staged.is_empty() {
                continue;
            }
            let count = lane.staged.len().min(room);
            self.session.push_all(*partition, lane.generation, lane.staged.drain(..count));
            room = self.session.room().messages;
        }
        room
    }

    /// Waits for what comes next, and takes it over; for ever, if there is no lane.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn arrival(&mut self) -> Vec<(u32, Came)> {
        let lanes = &mut self.lanes;
        poll_fn(|cx| {
            let mut came = Vec::new();
            for (partition, lane) in lanes.iter_mut() {
                while came.len() < CHUNK {
                    match lane.pulls.poll(cx) {
                        Poll::Ready(Some(one)) => came.push((*partition, one)),
                        _ => break,
                    }
                }
            }
            if came.is_empty() { Poll::Pending } else { Poll::Ready(came) }
        })
        .await
    }

    /// Takes over what came.
    pub(crate) async fn take(&mut self, came: Vec<(u32, Came)>) -> Result<()> {
        let mut again = Vec::new();
        for (partition, came) in came {
            let Some(lane) = self.lanes.get_mut(&partition) else { continue };
            let message = match came {
                Came::Message(message) => message,
                Came::Alive => continue,
                Came::Ended(None) => {
                    // What is owed comes before anything else, so there is nothing of it left.
                    lane.owed = 0;
                    continue;
                }
                Came::Ended(Some(error)) => {
                    tracing::debug!(partition, %error, "a pull ended");
                    lane.torn = true;
                    continue;
                }
            };
            let reply = message.reply.clone();
            let Some((told, reply)) = reply.and_then(|reply| Some((Told::read(&reply)?, reply))) else {
                continue;
            };
            lane.pulls.waiting = told.pending;
            lane.torn |= told.delivery != lane.next_delivery;
            if lane.torn {
                continue;
            }
            lane.next_delivery += 1;
            let arrival = self.shared.with(partition, |held| held.arrive(told, &reply));
            if arrival == Some(Arrival::Take) {
                let place = lane.staged.partition_point(|staged| staged.native < told.sequence);
                let one = incoming(&mut self.buffer, message, told, self.most_attempts);
                lane.staged.insert(place, one);
            } else if arrival == Some(Arrival::Acknowledge) {
                again.push(reply);
            }
            if arrival != Some(Arrival::Known) && lane.owed > 0 {
                lane.owed -= 1;
                if lane.owed == 0 {
                    burden_first(self.most_attempts, lane, &self.shared, partition);
                }
            }
        }
        self.hand_on();
        if !again.is_empty() {
            let client = self.link.client("receive")?;
            for reply in again {
                // It comes again if this is lost.
                let _ = client.publish(reply, ACK).await;
            }
        }
        Ok(())
    }

    /// Tells the server that everything we hold is being worked on.
    pub(crate) async fn progress(&self) -> Result<()> {
        let client = self.link.client("receive")?;
        let replies: Vec<_> = self.shared.lanes().values().flat_map(|held| held.replies()).collect();
        for reply in replies {
            client.publish(reply, PROGRESS).await.map_err(|error| {
                Error::new(Kind::Disconnected, "receive", "progress could not be told").with_source(error)
            })?;
        }
        Ok(())
    }

    /// Notes what became of a lease; without one the partition is lost.
    pub(crate) fn renewed(&mut self, partition: u32, lease: Option<Lease>) {
        let Some(lane) = self.lanes.get_mut(&partition) else { return };
        let Some(lease) = lease else { return self.lose(partition) };
        self.shared.with(partition, |held| held.until = lease.until);
        self.session.hold_until(partition, lease.until);
        lane.lease = lease;
    }

    /// When the first lease lapses.
    pub(crate) fn lapses_at(&self) -> Option<Instant> {
        self.lanes.values().map(|lane| lane.lease.until).min()
    }

    /// Lets go of partitions whose lease has lapsed: somebody else may have them.
    pub(crate) fn lapse(&mut self) {
        let now = Instant::now();
        let lapsed: Vec<u32> =
            self.lanes.iter().filter(|(_, lane)| lane.lease.until <= now).map(|(p, _)| *p).collect();
        lapsed.into_iter().for_each(|partition| self.lose(partition));
    }

    /// The partition is somebody else's, who takes back what we hold: without a word to the server.
    fn lose(&mut self, partition: u32) {
        tracing::debug!(partition, "the partition's lease is lost");
        self.session.revoke(partition);
        self.shared.lanes().remove(&partition);
        self.lanes.remove(&partition);
    }

    /// Drains what is above our share, and stops draining what is not.
    pub(crate) fn keep(&mut self, share: usize) {
        let until = Instant::now() + self.session.subscription().drain;
        for (at, (partition, lane)) in self.lanes.iter_mut().enumerate() {
            match (at < share, lane.drain_until) {
                (true, Some(_)) => {
                    self.session.undrain(*partition);
                    lane.drain_until = None;
                }
                (false, None) => {
                    self.session.drain(*partition);
                    lane.drain_until = Some(until);
                }
                _ => {}
            }
        }
    }

    /// Gives away what has drained.
    pub(crate) async fn release_drained(&mut self) -> Result<()> {
        let now = Instant::now();
        let drained: Vec<u32> = self
            .lanes
            .iter()
            .filter(|(partition, lane)| {
                lane.drain_until.is_some_and(|until| until <= now || self.session.is_drained(**partition))
            })
            .map(|(partition, _)| *partition)
            .collect();
        for partition in drained {
            self.release(partition).await?;
        }
        Ok(())
    }

    /// Gives a partition away: what we hold goes back first, in order.
    async fn release(&mut self, partition: u32) -> Result<()> {
        self.session.revoke(partition);
        let Some(mut lane) = self.lanes.remove(&partition) else { return Ok(()) };
        let held = self.shared.lanes().remove(&partition);
        if lane.lease.until <= Instant::now() {
            return Ok(());
        }
        lane.pulls.close().await?;
        let replies = held.map(|held| held.replies()).unwrap_or_default();
        refuse(&self.link, replies.into_iter().map(|reply| reply.to_string())).await?;
        self.leaving.push((Instant::now() + self.written_after(), lane.lease));
        Ok(())
    }

    /// When a server that works alone has written to its disk what it knows of a consumer. Until then the partition stays
    /// ours: if the server is killed, we know what it has forgotten.
    fn written_after(&self) -> Duration {
        let alone = self.topic.config().is_none_or(|stream| stream.num_replicas < 3);
        if alone { WRITTEN_AFTER } else { Duration::ZERO }
    }

    /// When the first lease of what was given away goes.
    pub(crate) fn leaves_at(&self) -> Option<Instant> {
        self.leaving.iter().map(|(at, _)| *at).min()
    }

    /// Lets others have what was given away.
    pub(crate) async fn let_others(&mut self) -> Result<()> {
        let now = Instant::now();
        while let Some(at) = self.leaving.iter().position(|(at, _)| *at <= now) {
            let (_, lease) = self.leaving.swap_remove(at);
            self.bucket.release(&self.link, &lease).await?;
        }
        Ok(())
    }

    /// Gives everything away.
    pub(crate) async fn close(&mut self) -> Result<()> {
        let partitions: Vec<u32> = self.lanes.keys().copied().collect();
        let mut result = Ok(());
        for partition in partitions {
            let released = self.release(partition).await;
            result = result.and(released);
        }
        if let Some(last) = self.leaving.iter().map(|(at, _)| *at).max() {
            tokio::time::sleep_until(last).await;
        }
        result.and(self.let_others().await)
    }
}

/// The first message that was taken back was handed out each time. If that was twice as often as the subscription allows, it
/// keeps its count, and is given up: else a message that kills its process would come for ever.
fn burden_first(most_attempts: u32, lane: &mut Lane, shared: &Shared, partition: u32) {
    let Some(first) = lane.staged.front_mut() else { return };
    let delivered = shared.with(partition, |held| held.delivered(first.native)).unwrap_or(0);
    let attempts = u32::try_from(delivered.saturating_sub(1)).unwrap_or(u32::MAX);
    if attempts > most_attempts.saturating_mul(2) {
        first.attempts = attempts;
    }
}
