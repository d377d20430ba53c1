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
    /// What came while the session had no room.
    staged: VecDeque<Incoming>,
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
    /// allows: nobody gives up on it untried. The first of a partition was tried.
    pub(crate) most_attempts: u32,
    begun: Vec<u32>,
    lanes: BTreeMap<u32, Lane>,
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
        let (pulls, next_delivery) = self.begin(partition).await?;
        let generation = self.session.assign(partition);
        self.session.hold_until(partition, lease.until);
        let staged = VecDeque::new();
        let lane = Lane { generation, pulls, lease, next_delivery, staged, drain_until: None, torn: false };
        self.lanes.insert(partition, lane);
        Ok(())
    }

    /// Takes back what the server counts as held and not in the session, and opens an inbox for what comes.
    async fn begin(&self, partition: u32) -> Result<(Pulls, u64)> {
        let info = take_back(&self.link, &self.layout, partition, |sequence| {
            self.shared.with(partition, |held| held.is_here(sequence)).unwrap_or(false)
        })
        .await?;
        let client = self.link.client("receive")?;
        let name = self.layout.consumer(partition);
        let pulls = Pulls::open(&client, &self.layout.stream, &name, self.expires()).await?;
        Ok((pulls, info.delivered.consumer_sequence + 1))
    }

    /// The connection is another one: goes on with what we have, after taking back what was lost on the way.
    pub(crate) async fn resume(&mut self) -> Result<()> {
        let partitions: Vec<u32> = self.lanes.keys().copied().collect();
        for partition in partitions {
            let (pulls, next_delivery) = self.begin(partition).await?;
            if let Some(lane) = self.lanes.get_mut(&partition) {
                lane.torn = false;
                lane.next_delivery = next_delivery;
                let _ = std::mem::replace(&mut lane.pulls, pulls).close().await;
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
            // Nothing more comes to the old inbox before the consumer is looked at.
            lane.pulls.close().await?;
            lane.staged.clear();
            self.session.revoke(partition);
            self.shared.with(partition, |held| held.let_go());
            let (pulls, next_delivery) = self.begin(partition).await?;
            let generation = self.session.assign(partition);
            if let Some(lane) = self.lanes.get_mut(&partition) {
                self.session.hold_until(partition, lane.lease.until);
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
            if lane.torn || lane.drain_until.is_some() || !lane.staged.is_empty() || !ours {
                continue;
            }
            let outstanding = lane.pulls.outstanding;
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
        for (partition, lane) in self.lanes.iter_mut().filter(|(_, lane)| !lane.staged.is_empty()) {
            let count = lane.staged.len().min(room);
            self.session.push_all(*partition, lane.generation, lane.staged.drain(..count));
            room = self.session.room().messages;
        }
        room
    }

    /// Whether messages wait for the session to have room.
    pub(crate) fn is_staging(&self) -> bool {
        self.lanes.values().any(|lane| !lane.staged.is_empty())
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
                Came::Ended(None) => continue,
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
            match self.shared.with(partition, |held| held.arrive(told, &reply)) {
                Some(Arrival::Take) => {
                    lane.staged.push_back(incoming(&mut self.buffer, message, told, self.most_attempts));
                }
                Some(Arrival::Acknowledge) => again.push(reply),
                Some(Arrival::Known) | None => {}
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
        self.bucket.release(&self.link, &lane.lease).await
    }

    /// Gives everything away.
    pub(crate) async fn close(&mut self) -> Result<()> {
        let partitions: Vec<u32> = self.lanes.keys().copied().collect();
        let mut result = Ok(());
        for partition in partitions {
            let released = self.release(partition).await;
            result = result.and(released);
        }
        result
    }
}
