//! All partitions of one consumer session: who may be handed what, and how much more fits.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::partition::{Handout, Incoming, Partition, fenced};
use super::partitions::Partitions;
use crate::delivery::{Standing, Token, Verdict};
use crate::error::Result;

/// Acknowledged records behind an unsettled one keep only their place; that many times the prefetch fit.
const SLOTS_PER_PREFETCH: usize = 10;

/// Leases of settled records are forgotten when there are that many times the prefetch.
const LEASES_PER_PREFETCH: usize = 4;

/// How much more a session takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Messages.
    pub messages: usize,
}

#[derive(Debug)]
pub(super) struct Ledger {
    partitions: Partitions,
    generation: u32,
    /// The partition that is served next.
    turn: u32,
    prefetch: usize,
    prefetch_bytes: usize,
    lease: Option<Duration>,
    /// Hand-outs in order of time, for finding the ones whose lease lapses.
    leases: VecDeque<(Instant, Token)>,
}

impl Ledger {
    pub(super) fn new(prefetch: usize, prefetch_bytes: usize, lease: Option<Duration>) -> Self {
        Ledger {
            partitions: Partitions::default(),
            generation: 0,
            turn: 0,
            prefetch,
            prefetch_bytes,
            lease,
            leases: VecDeque::new(),
        }
    }

    pub(super) fn assign(&mut self, number: u32) -> u32 {
        self.generation += 1;
        self.partitions.insert(number, Partition::new(self.generation));
        self.generation
    }

    pub(super) fn revoke(&mut self, number: u32) -> Option<Partition> {
        self.partitions.remove(number)
    }

    pub(super) fn partition(&mut self, number: u32) -> Option<&mut Partition> {
        self.partitions.get_mut(number)
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = (u32, &Partition)> {
        self.partitions.iter()
    }

    /// Takes a record in, unless its partition has been taken away since it was fetched.
    pub(super) fn push(&mut self, number: u32, generation: u32, incoming: Incoming) -> bool {
        let partition = self.partitions.get_mut(number).filter(|p| p.generation == generation);
        partition.map(|partition| partition.push(incoming)).is_some()
    }

    pub(super) fn room(&self) -> Room {
        let (mut open, mut bytes, mut slots) = (0, 0, 0);
        for partition in self.partitions.values() {
            open += partition.open;
            bytes += partition.bytes;
            slots += partition.slots();
        }
        let full = bytes >= self.prefetch_bytes || slots >= self.prefetch * SLOTS_PER_PREFETCH;
        Room { messages: if full { 0 } else { self.prefetch.saturating_sub(open) } }
    }

    /// At most so many records can be handed out.
    pub(super) fn waiting(&self) -> usize {
        self.partitions.values().map(|p| p.open.saturating_sub(p.handed)).sum()
    }

    /// Hands out up to `max` records, of one partition until it has no more, then of the next. The next batch begins with
    /// another one. Those that failed `limit` times come beside, and do not count.
    pub(super) fn hand_out(
        &mut self,
        max: usize,
        limit: Option<u32>,
        now: Instant,
        mut take: impl FnMut(Handout),
    ) {
        self.lapse(now);
        self.forget_leases();
        // There can be no more than that: so nobody looks for them in partitions that have none.
        let mut left = max.min(self.waiting());
        let Ledger { partitions, turn, lease, leases, .. } = self;
        let begin = *turn;
        let mut serve = |number: u32, partition: &mut Partition| {
            while left > 0
                && let Some(handout) = partition.next(number, limit, now)
            {
                *turn = number;
                left -= usize::from(!handout.exhausted);
                leases.extend(lease.map(|lease| (now + lease, handout.token)));
                take(handout);
            }
        };
        partitions.in_turn(begin).for_each(|(number, partition)| serve(number, partition));
        *turn = turn.wrapping_add(1);
    }

    /// Forgets the leases of what is settled, when there are many.
    fn forget_leases(&mut self) {
        if self.leases.len() < self.prefetch * LEASES_PER_PREFETCH {
            return;
        }
        let partitions = &mut self.partitions;
        self.leases.retain(|(_, token)| {
            partitions.get_mut(token.partition).is_some_and(|partition| partition.holds(*token))
        });
    }

    fn lapse(&mut self, now: Instant) {
        while let Some((_, token)) = self.leases.pop_front_if(|(until, _)| *until <= now) {
            if let Some(partition) = self.partitions.get_mut(token.partition) {
                partition.lapse(token, now);
            }
        }
    }

    /// When something happens by itself: a delay ends or a lease lapses.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let retries = self.partitions.values().filter(|p| p.hands_out(now)).filter_map(Partition::next_due);
        retries.chain(self.leases.front().map(|(until, _)| *until)).min()
    }

    /// Whether the application holds the record under this token.
    pub(super) fn holds(&mut self, token: Token) -> bool {
        self.partitions.get_mut(token.partition).is_some_and(|partition| partition.holds(token))
    }

    /// What a transaction can do about these.
    pub(super) fn standing(&self, tokens: &[Token]) -> Vec<Standing> {
        let mut standing = vec![Standing::Void; tokens.len()];
        let mut places: BTreeMap<u32, (Vec<usize>, Vec<Token>)> = BTreeMap::new();
        for (place, token) in tokens.iter().enumerate() {
            let (places, tokens) = places.entry(token.partition).or_default();
            places.push(place);
            tokens.push(*token);
        }
        for (number, (places, tokens)) in places {
            let Some(partition) = self.partitions.get(number) else { continue };
            for (place, known) in places.into_iter().zip(partition.standing(&tokens)) {
                standing[place] = known;
            }
        }
        standing
    }

    /// Whether it is still worth beginning with the record of this token.
    pub(super) fn is_current(&mut self, token: Token) -> bool {
        let partition = self.partitions.get_mut(token.partition);
        partition.is_some_and(|partition| partition.is_current(token))
    }

    /// See [`Partition::begin_ack`].
    pub(super) fn begin_ack(&mut self, token: Token) -> Result<u64> {
        self.partitions.get_mut(token.partition).ok_or_else(fenced)?.begin_ack(token)
    }

    /// See [`Partition::end_ack`].
    pub(super) fn end_ack(&mut self, token: Token, confirmed: bool) {
        if let Some(partition) = self.partitions.get_mut(token.partition) {
            partition.end_ack(token, confirmed);
        }
    }

    /// Lets a parked key go on.
    pub(super) fn unpark(&mut self, partition: u32, key: &[u8]) {
        if let Some(partition) = self.partitions.get_mut(partition) {
            partition.unpark(key);
        }
    }

    /// Puts a record back that nobody has tried, to come again at `due`.
    pub(super) fn postpone(&mut self, token: Token, due: Instant, now: Instant) {
        if let Some(partition) = self.partitions.get_mut(token.partition) {
            let _ = partition.postpone(token, due, now);
        }
    }

    /// Applies a verdict; an acknowledgement gives the adapter's name for the record.
    pub(super) fn apply(&mut self, token: Token, verdict: &Verdict, now: Instant) -> Result<Option<u64>> {
        let partition = self.partitions.get_mut(token.partition).ok_or_else(fenced)?;
        match verdict {
            Verdict::Ack | Verdict::DeadLetter { .. } => partition.ack(token).map(Some),
            Verdict::Nack { delay } => partition.nack(token, now + *delay, now).map(|()| None),
            Verdict::Release => partition.release(token, now).map(|()| None),
        }
    }
}

#[cfg(test)]
mod tests;
