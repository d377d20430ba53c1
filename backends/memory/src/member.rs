//! One member of a group: takes its partitions, hands over what others ought to have, and fills its session.

use std::collections::HashMap;
use std::sync::Arc;

use anybroker_core::kit::{Ack, Incoming, Link, Session};
use anybroker_core::{Error, Kind, Result, Settled, async_trait};
use tokio::time::Instant;

use crate::group::{Cursor, GroupState};
use crate::log::Log;
use crate::store::{TopicInner, TopicState};

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: u64,
    pub(crate) topic: Arc<TopicState>,
    pub(crate) session: Arc<Session>,
}

/// Partitions that the fetch task serves: their generation, and until when those that are handed over may drain.
#[derive(Debug, Default)]
struct Owned {
    generations: HashMap<usize, u32>,
    draining: HashMap<usize, Instant>,
    /// Where the next round begins.
    turn: usize,
}

impl Owned {
    /// The partitions with their generations, beginning with another one each time.
    fn round(&mut self) -> Vec<(usize, u32)> {
        let mut round: Vec<_> =
            self.generations.iter().map(|(partition, generation)| (*partition, *generation)).collect();
        round.sort_unstable();
        self.turn += 1;
        let begin = self.turn % round.len().max(1);
        round.rotate_left(begin);
        round
    }
}

impl Member {
    /// Fills the session until it ends; then leaves the group, if `close` has not done so.
    pub(crate) async fn fetch(self: Arc<Self>) {
        let mut owned = Owned::default();
        loop {
            let mut changed = std::pin::pin!(self.topic.changed.notified());
            changed.as_mut().enable();
            if self.session.ended().is_some() {
                return self.leave();
            }
            if let Err(error) = self.step(&mut owned) {
                self.session.fail(error);
                return self.leave();
            }
            let deadline = owned.draining.values().min().copied();
            tokio::select! {
                () = changed => {}
                () = self.session.settlement() => {}
                () = sleep_until(deadline) => {}
            }
        }
    }

    fn step(&self, owned: &mut Owned) -> Result<()> {
        let mut inner = self.topic.lock();
        if inner.deleted {
            return Err(Error::new(Kind::NotFound, "receive", "the topic was deleted"));
        }
        let TopicInner { logs, groups, .. } = &mut *inner;
        let Some(group) = groups.get_mut(&self.session.subscription().group) else { return Ok(()) };
        let handed_over = self.hand_over(group, owned);
        self.take_over(group, owned);
        self.fill(group, logs, owned);
        if handed_over {
            self.topic.changed.notify_waiters();
        }
        Ok(())
    }

    /// Fills the session to its bound. Each partition gets its part of the room at a time, so that none starves behind a
    /// busy one; what some leave, the others get.
    fn fill(&self, group: &mut GroupState, logs: &[Log], owned: &mut Owned) {
        let mut room = self.session.room().messages;
        let mut before = usize::MAX;
        while room > 0 && room < before {
            before = room;
            let part = room.div_ceil(owned.generations.len().max(1));
            for (partition, generation) in owned.round() {
                if !owned.draining.contains_key(&partition) {
                    let (cursor, log) = (&mut group.cursors[partition], &logs[partition]);
                    room -= self.hand_in(partition, generation, cursor, log, part.min(room));
                }
            }
        }
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
        let mut handed = 0;
        while handed < most && cursor.next < log.end() {
            let offset = cursor.next;
            cursor.next += 1;
            let Some(stored) = log.get(offset).filter(|_| !cursor.is_done(offset)) else { continue };
            let attempts = cursor.attempts(offset);
            let incoming = Incoming {
                record: stored.record.clone(),
                native: offset,
                offset: Some(offset),
                stored: stored.time,
                attempts,
                redelivered: attempts > 0,
            };
            self.session.push(partition as u32, generation, incoming);
            handed += 1;
        }
        handed
    }

    /// Drains the partitions that another member ought to own, and lets go of the drained ones.
    fn hand_over(&self, group: &mut GroupState, owned: &mut Owned) -> bool {
        let now = Instant::now();
        let mut let_go = false;
        for partition in owned.generations.keys().copied().collect::<Vec<_>>() {
            if group.cursors[partition].owner != Some(self.id) {
                // It was let go by closing, and may be another's by now.
                owned.generations.remove(&partition);
                owned.draining.remove(&partition);
                continue;
            }
            if group.target(partition) == Some(self.id) {
                continue;
            }
            let limit = now + self.session.subscription().drain;
            let deadline = *owned.draining.entry(partition).or_insert(limit);
            self.session.drain(partition as u32);
            if self.session.is_drained(partition as u32) || deadline <= now {
                let returned = self.session.revoke(partition as u32);
                group.cursors[partition].let_go(&returned);
                owned.generations.remove(&partition);
                owned.draining.remove(&partition);
                let_go = true;
            }
        }
        let_go
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

    /// Leaves the group: everything unsettled goes back, in order.
    fn leave(&self) {
        let mut inner = self.topic.lock();
        let Some(group) = inner.groups.get_mut(&self.session.subscription().group) else { return };
        group.members.retain(|member| *member != self.id);
        for (partition, cursor) in group.cursors.iter_mut().enumerate() {
            if cursor.owner == Some(self.id) {
                cursor.let_go(&self.session.revoke(partition as u32));
            }
        }
        drop(inner);
        self.topic.changed.notify_waiters();
    }
}

#[async_trait]
impl Link for Member {
    fn confirms(&self) -> bool {
        true
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
            cursor.acknowledge(ack.native);
            Ok(Settled::Confirmed)
        };
        acks.iter().map(acknowledge).collect()
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.leave();
        Ok(())
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
