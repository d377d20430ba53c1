//! One member of a group: takes its partitions, hands over what others ought to have, and fills its session.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anybroker_core::kit::{Ack, AckPlan, Incoming, Link, Session};
use anybroker_core::{Error, Kind, Result, Settled, async_trait};
use tokio::time::Instant;

use crate::adversary::{Adversary, Deed};
use crate::group::{Cursor, GroupState};
use crate::log::Log;
use crate::semantics::Marks;
use crate::setup::Setup;
use crate::store::{TopicInner, TopicState, lock};

/// As often clients tell their broker what was acknowledged, if nothing else makes them.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: u64,
    pub(crate) topic: Arc<TopicState>,
    pub(crate) session: Arc<Session>,
    pub(crate) setup: Setup,
    /// Locked after the topic.
    owned: Mutex<Owned>,
}

/// Whether members fetch when their session has nothing more to give, in the application's own turn; otherwise a task fetches
/// before, in whose turns the adversary acts.
pub(crate) fn fetches_when_asked(setup: &Setup) -> bool {
    setup.adversary.is_none()
}

/// Partitions that are served: their generation, and until when those that are handed over may
/// drain, if there is an end to it.
#[derive(Debug, Default)]
struct Owned {
    generations: BTreeMap<usize, u32>,
    draining: BTreeMap<usize, Option<Instant>>,
    /// Those whose deliveries an adversary has stopped, and until when.
    stalled: BTreeMap<usize, Instant>,
    /// When the broker is told of acknowledgements that an adversary has kept back.
    commit: Option<Instant>,
    /// Where the next round begins.
    turn: usize,
}

impl Owned {
    fn forget(&mut self, partition: usize) {
        self.generations.remove(&partition);
        self.draining.remove(&partition);
        self.stalled.remove(&partition);
    }

    /// When something is to be done without anybody asking for it.
    fn next_due(&self) -> Option<Instant> {
        self.draining.values().flatten().chain(self.stalled.values()).chain(&self.commit).min().copied()
    }

    /// The partitions that get messages, with their generations, beginning with another one each time.
    fn round(&mut self) -> impl Iterator<Item = (usize, u32)> {
        self.turn += 1;
        let begin = self.turn % self.generations.len().max(1);
        let all = self.generations.iter();
        let round = all.clone().skip(begin).chain(all.take(begin));
        let is_served =
            |partition| !self.draining.contains_key(partition) && !self.stalled.contains_key(partition);
        round
            .filter(move |(partition, _)| is_served(*partition))
            .map(|(partition, generation)| (*partition, *generation))
    }
}

impl Member {
    pub(crate) fn new(id: u64, topic: Arc<TopicState>, session: Arc<Session>, setup: Setup) -> Self {
        Member { id, topic, session, setup, owned: Mutex::default() }
    }

    /// Does what is to be done without anybody asking, until the session ends; then leaves the group, if `close` has not
    /// done so.
    pub(crate) async fn run(self: Arc<Self>) {
        let ahead = !fetches_when_asked(&self.setup);
        loop {
            let mut regrouped = std::pin::pin!(self.topic.regrouped.notified());
            let mut published = std::pin::pin!(self.topic.published.notified());
            regrouped.as_mut().enable();
            if ahead {
                published.as_mut().enable();
            }
            if self.session.ended().is_some() {
                return self.leave(true);
            }
            match self.step() {
                Ok(0) => {}
                Ok(_) => self.session.announce(),
                Err(error) => {
                    self.session.fail(error);
                    return self.leave(true);
                }
            }
            let (deadline, settlements) = self.waits_for();
            tokio::select! {
                biased;
                () = regrouped => {}
                () = published, if ahead => {}
                () = self.session.settlement(), if settlements => {}
                () = self.session.end() => {}
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// When there is something to do, and whether there is after a settlement.
    fn waits_for(&self) -> (Option<Instant>, bool) {
        let owned = lock(&self.owned);
        let asked = fetches_when_asked(&self.setup) && self.setup.semantics.confirms_acks;
        (owned.next_due(), !asked || !owned.draining.is_empty())
    }

    /// Does what there is to do; how many messages the session has got.
    fn step(&self) -> Result<usize> {
        let mut inner = self.topic.lock();
        let owned = &mut *lock(&self.owned);
        if inner.deleted {
            return Err(Error::new(Kind::NotFound, "receive", "the topic was deleted"));
        }
        let TopicInner { logs, groups, .. } = &mut *inner;
        let Some(group) = groups.get_mut(&self.session.subscription().group) else { return Ok(0) };
        self.push_acks(group, owned);
        let expelled = match &self.setup.adversary {
            Some(adversary) => self.suffer(adversary, group, owned)?,
            None => false,
        };
        let handed_over = self.hand_over(group, owned) || expelled;
        self.take_over(group, owned);
        let filled = self.fill(group, logs, owned);
        if handed_over {
            self.topic.regrouped.notify_waiters();
        }
        Ok(filled)
    }

    /// Fills the session to its bound. Each partition gets its part of the room at a time, so that none starves behind a
    /// busy one; what some leave, the others get. Says how many messages there were.
    fn fill(&self, group: &mut GroupState, logs: &[Log], owned: &mut Owned) -> usize {
        let all = self.session.room().messages;
        let (mut room, mut more) = (all, true);
        while room > 0 && more {
            more = false;
            let part = room.div_ceil(owned.generations.len().max(1));
            for (partition, generation) in owned.round() {
                let (cursor, log) = (&mut group.cursors[partition], &logs[partition]);
                if cursor.owner == Some(self.id) && cursor.has_more(log) {
                    let handed = self.hand_in(partition, generation, cursor, log, part.min(room));
                    room -= handed;
                    more |= handed > 0 && cursor.has_more(log);
                }
            }
        }
        all - room
    }

    /// Hands up to `most` of a partition's next messages to the session; says how many.
    fn hand_in(
        &self,
        partition: usize,
        generation: u32,
        cursor: &mut Cursor,
        log: &Log,
        most: usize,
    ) -> usize {
        let due = match self.setup.semantics.batch_of_a_key {
            Some(batch) => cursor.due_by_key(log, most.min(batch)),
            None => cursor.due(log, most),
        };
        let handed = due.len();
        let most_attempts = self.most_attempts();
        let incoming = due.into_iter().filter_map(|offset| {
            let stored = log.get(offset)?;
            let (attempts, seen) = (cursor.attempts(offset), cursor.was_seen(offset));
            let (attempts, redelivered) = match &self.setup.adversary {
                Some(adversary) => adversary.marks(attempts, seen),
                None => (attempts, seen),
            };
            Some(Incoming {
                record: stored.record.clone(),
                native: offset,
                offset: self.setup.semantics.log.then_some(offset),
                stored: stored.time,
                attempts: attempts.min(most_attempts),
                redelivered,
            })
        });
        self.session.push_unannounced(partition as u32, generation, incoming);
        handed
    }

    /// The most attempts that a message comes with: what came back without having been tried counts as one too, and does
    /// not make it hopeless.
    fn most_attempts(&self) -> u32 {
        let policy = self.session.subscription().dead_letter.as_ref();
        match (self.setup.semantics.marks, policy.and_then(|policy| policy.max_attempts)) {
            (Marks::Returns, Some(limit)) => limit.saturating_sub(1),
            _ => u32::MAX,
        }
    }

    /// Drains the partitions that another member ought to own, and lets go of the drained ones.
    fn hand_over(&self, group: &mut GroupState, owned: &mut Owned) -> bool {
        let now = Instant::now();
        let mut let_go = false;
        for partition in owned.generations.keys().copied().collect::<Vec<_>>() {
            if group.cursors[partition].owner != Some(self.id) {
                // It was let go by closing, and may be another's by now.
                owned.forget(partition);
                continue;
            }
            if group.target(partition) == Some(self.id) {
                continue;
            }
            if self.is_free(partition, owned, now) {
                self.let_go(partition, &mut group.cursors[partition]);
                owned.forget(partition);
                let_go = true;
            }
        }
        let_go
    }

    /// Whether a partition that another member ought to own can be let go now.
    fn is_free(&self, partition: usize, owned: &mut Owned, now: Instant) -> bool {
        let number = partition as u32;
        if self.setup.semantics.waits_for_holder {
            // Nothing more is fetched, and what was fetched is finished here.
            owned.draining.insert(partition, None);
            return self.session.head(number).is_none();
        }
        let limit = Some(now + self.session.subscription().drain);
        let deadline = *owned.draining.entry(partition).or_insert(limit);
        self.session.drain(number);
        self.session.is_drained(number) || deadline.is_some_and(|limit| limit <= now)
    }

    /// Tells the broker what is acknowledged, where that is not confirmed one by one.
    fn push_acks(&self, group: &mut GroupState, owned: &mut Owned) {
        let delayed = |adversary: &Adversary| adversary.does(Deed::CommitDelayed);
        owned.commit = None;
        if !self.setup.semantics.confirms_acks && !self.setup.adversary.as_deref().is_some_and(delayed) {
            self.push_all_acks(group);
        } else if !self.setup.semantics.confirms_acks {
            owned.commit = Some(Instant::now() + COMMIT_INTERVAL);
        }
    }

    fn push_all_acks(&self, group: &mut GroupState) {
        for (partition, cursor) in group.cursors.iter_mut().enumerate() {
            if cursor.owner == Some(self.id) {
                self.push_acks_of(partition, cursor);
            }
        }
    }

    fn push_acks_of(&self, partition: usize, cursor: &mut Cursor) {
        let plan = self.plan(partition, cursor);
        cursor.acknowledge_all(&plan);
    }

    /// What is recorded and was not told.
    fn plan(&self, partition: usize, cursor: &mut Cursor) -> AckPlan {
        let mut plan = self.session.take_acks(partition as u32, self.setup.semantics.acks_singly);
        plan.singles.append(&mut cursor.answered);
        plan
    }

    /// Everything unsettled of a partition goes back, in order.
    fn let_go(&self, partition: usize, cursor: &mut Cursor) {
        if !self.setup.semantics.confirms_acks {
            let plan = self.plan(partition, cursor);
            let told = self.setup.adversary.as_deref().is_none_or(|adversary| adversary.lets_through(&plan));
            if told {
                cursor.acknowledge_all(&plan);
            }
        }
        self.take_away(partition, cursor);
    }

    /// A partition goes as it is.
    fn take_away(&self, partition: usize, cursor: &mut Cursor) {
        let returned = self.session.revoke(partition as u32);
        cursor.let_go(&returned, self.setup.semantics.marks);
    }

    /// Takes the partitions that are this member's and that nobody owns.
    fn take_over(&self, group: &mut GroupState, owned: &mut Owned) {
        for partition in 0..group.cursors.len() {
            // A partition that was to be handed over, and whose taker has left, stays.
            if group.target(partition) == Some(self.id) && owned.draining.remove(&partition).is_some() {
                self.session.undrain(partition as u32);
            }
            if group.target(partition) == Some(self.id) && group.cursors[partition].owner.is_none() {
                group.cursors[partition].owner = Some(self.id);
                owned.generations.insert(partition, self.session.assign(partition as u32));
            }
        }
    }

    /// Leaves the group without a word: what it has acknowledged and not told is forgotten.
    pub(crate) fn end(&self) {
        self.leave(false);
    }

    /// Leaves the group: everything unsettled goes back, in order; what is acknowledged is told first, if that can be.
    fn leave(&self, told: bool) {
        let mut inner = self.topic.lock();
        inner.remove_asking(self.id);
        let Some(group) = inner.groups.get_mut(&self.session.subscription().group) else { return };
        group.members.retain(|member| *member != self.id);
        for (partition, cursor) in group.cursors.iter_mut().enumerate() {
            if cursor.owner == Some(self.id) {
                if told {
                    self.let_go(partition, cursor);
                } else {
                    self.take_away(partition, cursor);
                }
            }
        }
        drop(inner);
        self.topic.regrouped.notify_waiters();
    }
}

/// What an adversary does to a member.
impl Member {
    /// Whether a partition was taken from it.
    fn suffer(&self, adversary: &Adversary, group: &mut GroupState, owned: &mut Owned) -> Result<bool> {
        adversary.connection()?;
        let now = Instant::now();
        owned.stalled.retain(|_, until| *until > now);
        let mut expelled = false;
        for partition in owned.generations.keys().copied().collect::<Vec<_>>() {
            let cursor = &mut group.cursors[partition];
            if cursor.owner != Some(self.id) {
                continue;
            }
            if let Some(stall) = adversary.stall() {
                owned.stalled.insert(partition, now + stall);
            }
            if !self.session.is_drained(partition as u32) && adversary.does(Deed::MemberExpelled) {
                self.take_away(partition, cursor);
                owned.forget(partition);
                expelled = true;
            }
        }
        if expelled {
            // It joins again at the end of the row, so that partitions change hands.
            group.members.retain(|member| *member != self.id);
            group.members.push(self.id);
        }
        Ok(expelled)
    }
}

#[async_trait]
impl Link for Member {
    fn confirms(&self) -> bool {
        self.setup.semantics.answers_acks
    }

    async fn acknowledge(&self, acks: &[Ack]) -> Vec<Result<Settled>> {
        let mut inner = self.topic.lock();
        let group = inner.groups.get_mut(&self.session.subscription().group);
        let Some(group) = group else { return acks.iter().map(|_| Err(fenced())).collect() };
        let acknowledge = |ack: &Ack| {
            let cursor = &mut group.cursors[ack.partition as usize];
            if cursor.owner != Some(self.id) {
                return Err(fenced());
            }
            let confirmed = self.setup.semantics.confirms_acks;
            if confirmed {
                cursor.acknowledge(ack.native);
            } else {
                cursor.answered.push(ack.native);
            }
            self.setup.adversary.as_deref().map_or(Ok(()), Adversary::ack_answer)?;
            Ok(if confirmed { Settled::Confirmed } else { Settled::Recorded })
        };
        acks.iter().map(acknowledge).collect()
    }

    fn refill(&self) -> usize {
        if !fetches_when_asked(&self.setup) {
            return 0;
        }
        let mut inner = self.topic.lock();
        let TopicInner { logs, groups, .. } = &mut *inner;
        let group = groups.get_mut(&self.session.subscription().group);
        group.map_or(0, |group| self.fill(group, logs, &mut lock(&self.owned)))
    }

    async fn flush(&self) -> Result<()> {
        self.setup.adversary.as_deref().map_or(Ok(()), Adversary::flushing)?;
        if self.setup.semantics.confirms_acks {
            return Ok(());
        }
        if let Some(group) = self.topic.lock().groups.get_mut(&self.session.subscription().group) {
            self.push_all_acks(group);
        }
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        let closed = self.setup.adversary.as_deref().map_or(Ok(()), Adversary::closing);
        self.leave(closed.is_ok());
        closed
    }
}

fn fenced() -> Error {
    Error::new(Kind::Fenced, "settle", "the partition belongs to another member now")
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
