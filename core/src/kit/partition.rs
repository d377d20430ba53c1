//! One partition's records in a consumer session: handed out in order, redelivered in order, acknowledged in any order.

mod acks;
mod settling;

use std::collections::{BTreeSet, VecDeque};

use tokio::time::Instant;

use super::retries::Retries;
use crate::delivery::{Provenance, Standing, Token};
use crate::message::Record;
use crate::topic::Position;
pub(super) use settling::fenced;

/// A record as the adapter's fetch task hands it in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The record.
    pub record: Record,
    /// The adapter's own name for it (an offset, a delivery tag); rises within a partition.
    pub native: u64,
    /// The offset that the broker keeps it at, if it says so.
    pub offset: Option<u64>,
    /// Milliseconds since 1970 at which the broker took it; 0 if it does not say.
    pub stored: i64,
    /// How often the broker knows it to have been handed out before.
    pub attempts: u32,
    /// The broker marks it as a redelivery.
    pub redelivered: bool,
}

/// A record that goes back to the broker when a partition is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The adapter's own name for it.
    pub native: u64,
    /// How often it has been handed out, including what the broker knew before.
    pub attempts: u32,
    /// Whether the application holds it at this moment.
    pub held: bool,
}

/// What an adapter may acknowledge at the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AckPlan {
    /// Everything up to and including this one.
    pub upto: Option<u64>,
    /// These, which wait behind an unsettled one.
    pub singles: Vec<u64>,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    native: u64,
    offset: Option<u64>,
    stored: i64,
    handout: u32,
    /// Deliveries counted, including those that the broker knows of.
    attempt: u32,
    /// Attempts that failed by themselves; being overtaken by an earlier message of the key is none.
    failures: u32,
    redelivered: bool,
    state: State,
    /// The broker has given it to somebody else while it was being acknowledged; the answer decides what it is.
    lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waiting,
    Handed,
    /// Acknowledged, and the broker has not answered yet: still in hand for everybody who waits for the partition.
    Confirming,
    /// It waited too long in the application's hands; told apart so that the error can say so.
    Lapsed,
    Acked,
    /// Acknowledged at the broker by itself, behind an unsettled one.
    AckedSingly,
    /// The broker took it back: it is nothing of ours any more.
    Lost,
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) generation: u32,
    pub(super) draining: bool,
    /// Until when it is ours, where that has to be renewed.
    pub(super) until: Option<Instant>,
    /// Records in the application's hands.
    pub(super) handed: usize,
    /// Deliveries that are void, since an earlier one of their key comes again, until the application lets go of them.
    overtaken: BTreeSet<(u64, u32)>,
    /// Records not acknowledged.
    pub(super) open: usize,
    /// Payload and metadata bytes of those.
    pub(super) bytes: usize,
    entries: VecDeque<Entry>,
    /// The sequence of the first entry.
    base: u64,
    /// The sequence of the next entry never handed out.
    cursor: u64,
    retries: Retries,
    /// The last entry before `base`, if the broker has not been told.
    prefix: Option<u64>,
    /// Sequences that were lost in the application's hands, until it settles or releases them.
    lost: BTreeSet<u64>,
}

/// What is handed out.
#[derive(Debug)]
pub(super) struct Handout {
    pub(super) record: Record,
    pub(super) token: Token,
    pub(super) provenance: Provenance,
    /// It has failed as often as it may: the later ones of its key wait until it is given up.
    pub(super) exhausted: bool,
}

impl Partition {
    pub(super) fn new(generation: u32) -> Self {
        Partition {
            generation,
            draining: false,
            until: None,
            handed: 0,
            overtaken: BTreeSet::new(),
            open: 0,
            bytes: 0,
            entries: VecDeque::new(),
            base: 0,
            cursor: 0,
            retries: Retries::default(),
            prefix: None,
            lost: BTreeSet::new(),
        }
    }

    pub(super) fn push(&mut self, incoming: Incoming) {
        self.open += 1;
        self.bytes += incoming.record.size();
        self.entries.push_back(Entry {
            record: incoming.record,
            native: incoming.native,
            offset: incoming.offset,
            stored: incoming.stored,
            handout: 0,
            attempt: incoming.attempts,
            failures: incoming.attempts,
            redelivered: incoming.redelivered,
            state: State::Waiting,
            lost: false,
        });
    }

    /// Whether the application works on nothing of it, not even in vain.
    pub(super) fn is_drained(&self) -> bool {
        self.handed == 0 && self.overtaken.is_empty()
    }

    /// Slots in use, including acknowledged records behind an unsettled one.
    pub(super) fn slots(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.retries.next_due()
    }

    /// Hands out the next record: one that is due again, or one never handed out whose key waits for nothing. It may fail
    /// `limit` times.
    pub(super) fn next(&mut self, number: u32, limit: Option<u32>, now: Instant) -> Option<Handout> {
        if !self.hands_out(now) {
            return None;
        }
        if self.cursor == self.end() && self.retries.is_empty() {
            return None;
        }
        let sequence = self.retries.take_due(now).or_else(|| self.advance(now))?;
        let generation = self.generation;
        let at = (sequence - self.base) as usize;
        let entry = self.entries.get_mut(at)?;
        entry.state = State::Handed;
        let redelivered = entry.redelivered || entry.handout > 0;
        entry.handout = entry.handout.wrapping_add(1);
        entry.attempt = entry.attempt.saturating_add(1);
        let handout = Handout {
            record: entry.record.clone(),
            token: Token {
                partition: number,
                generation,
                sequence,
                handout: entry.handout,
                attempt: entry.attempt,
            },
            provenance: Provenance {
                position: entry.offset.map(|offset| Position { partition: number, offset }),
                stored: entry.stored,
                failures: entry.failures,
                redelivered,
            },
            exhausted: limit.is_some_and(|limit| entry.failures >= limit),
        };
        if handout.exhausted
            && let Some(key) = handout.record.to_key()
        {
            self.retries.park(key);
        }
        self.handed += 1;
        Some(handout)
    }

    /// Whether it is ours, and to stay so.
    pub(super) fn hands_out(&self, now: Instant) -> bool {
        !self.draining && !self.lapsed(now)
    }

    fn advance(&mut self, now: Instant) -> Option<u64> {
        loop {
            let sequence = self.cursor;
            let entry = self.entries.get((sequence - self.base) as usize)?;
            if entry.state == State::Lost {
                self.cursor += 1;
                continue;
            }
            let waits = self.retries.queue_behind(|| entry.record.key(), sequence, now);
            self.cursor += 1;
            if !waits {
                return Some(sequence);
            }
        }
    }

    /// Whether the application holds the record under this token.
    pub(super) fn holds(&mut self, token: Token) -> bool {
        let ours = token.generation == self.generation;
        let entry =
            self.entry(token.sequence).filter(|e| e.handout == token.handout && e.state == State::Handed);
        ours && entry.is_some()
    }

    /// Whether it is still worth beginning with the record of this token.
    pub(super) fn is_current(&mut self, token: Token) -> bool {
        let lapsed = self.until.is_some() && self.lapsed(Instant::now());
        !self.draining && !lapsed && self.holds(token)
    }

    /// What a transaction can do about these, all of which are of this partition.
    pub(super) fn standing(&self, tokens: &[Token]) -> Vec<Standing> {
        let until_over = self.until.is_some() && self.lapsed(Instant::now());
        let held = |token: &Token| {
            let entry = token.sequence.checked_sub(self.base).and_then(|at| self.entries.get(at as usize));
            let ours = token.generation == self.generation && !until_over;
            ours && entry.is_some_and(|e| e.handout == token.handout && e.state == State::Handed)
        };
        let asked: BTreeSet<u64> = tokens.iter().filter(|token| held(token)).map(|t| t.sequence).collect();
        let open = |e: &Entry| !matches!(e.state, State::Acked | State::AckedSingly | State::Lost);
        let mut entries = (self.base..).zip(&self.entries);
        let gap = entries.find(|(sequence, e)| open(e) && !asked.contains(sequence));
        // What is being taken away, and is not in hand, will not be done here any more.
        let stuck =
            gap.is_some_and(|(_, e)| self.draining && matches!(e.state, State::Waiting | State::Lapsed));
        let of = |token: &Token| match gap {
            _ if !held(token) => Standing::Void,
            Some((gap, _)) if token.sequence > gap && stuck => Standing::Void,
            Some((gap, _)) if token.sequence > gap => Standing::Behind,
            _ => Standing::Next,
        };
        tokens.iter().map(of).collect()
    }

    /// The sequence of the next record to come.
    fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    fn entry(&mut self, sequence: u64) -> Option<&mut Entry> {
        self.entries.get_mut(sequence.checked_sub(self.base)? as usize)
    }

    fn lapsed(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}
