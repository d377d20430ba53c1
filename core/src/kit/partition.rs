//! One partition's records in a consumer session: handed out in order, redelivered in order, acknowledged in any order.

use std::collections::{BTreeSet, VecDeque};

use tokio::time::Instant;

use super::inputs::Head;
use super::retries::Retries;
use crate::delivery::{Provenance, Standing, Token};
use crate::error::{Error, Kind, Result};
use crate::message::Record;
use crate::topic::Position;

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

    /// The broker is asked to acknowledge the record of `token`: nobody else may settle it meanwhile.
    pub(super) fn begin_ack(&mut self, token: Token) -> Result<u64> {
        let entry = self.held(token)?;
        entry.state = State::Confirming;
        Ok(entry.native)
    }

    /// The broker has answered: done, or in the application's hands as before.
    pub(super) fn end_ack(&mut self, token: Token, confirmed: bool) {
        let generation = self.generation;
        let asked =
            self.entry(token.sequence).filter(|e| e.state == State::Confirming && e.handout == token.handout);
        if let Some(entry) = asked.filter(|_| token.generation == generation) {
            let (native, lost) = (entry.native, std::mem::take(&mut entry.lost));
            if confirmed {
                self.finish(token.sequence);
                return;
            }
            entry.state = State::Handed;
            if lost {
                self.lose(native);
            }
        }
    }

    /// The broker has taken the record back, and delivers it again, to whomever. It goes, whoever holds it.
    pub(super) fn lose(&mut self, native: u64) {
        let Ok(at) = self.entries.binary_search_by_key(&native, |entry| entry.native) else { return };
        let sequence = self.base + at as u64;
        let entry = &mut self.entries[at];
        match entry.state {
            State::Confirming => return entry.lost = true,
            State::Acked | State::AckedSingly | State::Lost => return,
            State::Handed => {
                self.handed -= 1;
                self.lost.insert(sequence);
            }
            State::Lapsed => _ = self.lost.insert(sequence),
            State::Waiting => {}
        }
        entry.state = State::Lost;
        let record = std::mem::take(&mut entry.record);
        self.open -= 1;
        self.bytes -= record.size();
        self.retries.forget(record.key(), sequence);
        self.trim();
    }

    /// Lets the key of a parked record go on.
    pub(super) fn unpark(&mut self, key: &[u8]) {
        self.retries.unpark(key);
    }

    /// Marks the record of `token` as done.
    pub(super) fn ack(&mut self, token: Token) -> Result<u64> {
        let native = self.held(token)?.native;
        self.finish(token.sequence);
        Ok(native)
    }

    /// A record in hand is done.
    fn finish(&mut self, sequence: u64) {
        self.handed -= 1;
        self.open -= 1;
        // The first one, as it mostly is, goes at once.
        let first = self.entries.pop_front_if(|_| sequence == self.base);
        if let Some(entry) = first {
            self.base += 1;
            self.prefix = Some(entry.native);
            self.bytes -= entry.record.size();
        } else if let Some(entry) = self.entry(sequence) {
            entry.state = State::Acked;
            let record = std::mem::take(&mut entry.record);
            self.bytes -= record.size();
        }
        self.trim();
    }

    /// Forgets what is done at the front.
    fn trim(&mut self) {
        while let Some(front) = self.entries.front() {
            match front.state {
                State::Acked => self.prefix = Some(front.native),
                State::AckedSingly | State::Lost => {}
                _ => break,
            }
            self.entries.pop_front();
            self.base += 1;
        }
        if self.entries.is_empty() {
            // Begins anew at the front of its memory, which is still in the processor's cache.
            self.entries.clear();
        }
        self.cursor = self.cursor.max(self.base);
    }

    /// Puts the record of `token` back, to come again at `due`, before the later ones of its key.
    pub(super) fn nack(&mut self, token: Token, due: Instant, now: Instant) -> Result<()> {
        let entry = self.held(token)?;
        entry.failures = entry.failures.saturating_add(1);
        entry.state = State::Waiting;
        self.put_back(token.sequence, due, now);
        Ok(())
    }

    /// Puts the record of `token` back without counting the attempt.
    pub(super) fn release(&mut self, token: Token, now: Instant) -> Result<()> {
        self.postpone(token, now, now)
    }

    /// The same, to come again at `due`.
    pub(super) fn postpone(&mut self, token: Token, due: Instant, now: Instant) -> Result<()> {
        match self.held(token) {
            Ok(entry) => {
                entry.attempt -= 1;
                entry.state = State::Waiting;
                self.put_back(token.sequence, due, now);
                Ok(())
            }
            Err(error) => {
                // It was overtaken and is already waiting; it was not an attempt either.
                let generation = self.generation;
                let void = self.entry(token.sequence).filter(|e| e.state == State::Waiting);
                if let Some(entry) =
                    void.filter(|e| e.handout == token.handout && token.generation == generation)
                {
                    entry.attempt -= 1;
                }
                Err(error)
            }
        }
    }

    /// Takes the record of `token` out of the application's hands, if it still is in them.
    pub(super) fn lapse(&mut self, token: Token, now: Instant) {
        if let Ok(entry) = self.held(token) {
            entry.failures = entry.failures.saturating_add(1);
            entry.state = State::Lapsed;
            self.put_back(token.sequence, now, now);
        }
    }

    /// The failed record, and every later one of its key that had been handed out, come again in order.
    fn put_back(&mut self, sequence: u64, due: Instant, now: Instant) {
        self.handed -= 1;
        let at = (sequence - self.base) as usize;
        let key = self.entries[at].record.to_key();
        let mut again = vec![sequence];
        if let Some(key) = &key {
            let handed_later = self.entries.iter_mut().enumerate().skip(at + 1);
            for (later, entry) in handed_later.filter(|(_, e)| e.state == State::Handed) {
                if entry.record.key() == Some(key.as_bytes()) {
                    entry.state = State::Waiting;
                    self.handed -= 1;
                    self.overtaken.insert((self.base + later as u64, entry.handout));
                    again.push(self.base + later as u64);
                }
            }
        }
        self.retries.put_back(key, due, now, &again);
    }

    /// What may be acknowledged; `singles` includes records behind an unsettled one.
    pub(super) fn take_acks(&mut self, singles: bool) -> AckPlan {
        let mut plan = AckPlan { upto: self.prefix.take(), singles: Vec::new() };
        if singles {
            for entry in self.entries.iter_mut().filter(|e| e.state == State::Acked) {
                entry.state = State::AckedSingly;
                plan.singles.push(entry.native);
            }
        }
        plan
    }

    /// Acknowledged records that wait behind an unsettled one and that the broker has not been told of.
    pub(super) fn held_back(&self) -> usize {
        self.entries.iter().filter(|e| e.state == State::Acked).count()
    }

    /// The first record not acknowledged, with the attempts it has had.
    pub(super) fn head(&self) -> Option<(u64, u32)> {
        self.entries.front().map(|entry| (entry.native, entry.attempt))
    }

    /// Whether the broker is being asked to acknowledge the record of this token.
    pub(super) fn is_confirming(&mut self, token: Token) -> bool {
        let ours = token.generation == self.generation;
        let entry = self.entry(token.sequence).filter(|e| e.handout == token.handout && !e.lost);
        ours && entry.is_some_and(|e| e.state == State::Confirming)
    }

    /// The first record not acknowledged, once those of `done` are.
    pub(super) fn head_after(&self, done: &BTreeSet<u64>) -> Head {
        let open = |e: &Entry| !matches!(e.state, State::Acked | State::AckedSingly | State::Lost);
        let mut entries = (self.base..).zip(&self.entries);
        match entries.find(|(sequence, e)| open(e) && !done.contains(sequence)) {
            None => Head::End,
            Some((sequence, _)) if done.last().is_some_and(|last| *last > sequence) => Head::Gap,
            Some((_, entry)) => Head::At { native: entry.native, attempts: entry.attempt },
        }
    }

    /// Everything not acknowledged, in order.
    pub(super) fn returned(&self) -> Vec<Returned> {
        let done = |e: &&Entry| matches!(e.state, State::Acked | State::AckedSingly | State::Lost);
        let open = self.entries.iter().filter(|e| !done(e));
        let returned = |e: &Entry| Returned {
            native: e.native,
            attempts: e.attempt,
            held: matches!(e.state, State::Handed | State::Confirming),
        };
        open.map(returned).collect()
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

    /// The application has let go of a record while the partition may be another's. It waits here: should the partition be
    /// renewed after all, nobody else delivers it.
    fn let_go(&mut self, token: Token) {
        let handed = |e: &&mut Entry| e.handout == token.handout && e.state == State::Handed;
        if let Some(entry) = self.entry(token.sequence).filter(handed) {
            entry.state = State::Waiting;
            let now = Instant::now();
            self.put_back(token.sequence, now, now);
        }
    }

    fn held(&mut self, token: Token) -> Result<&mut Entry> {
        if token.generation != self.generation {
            return Err(fenced());
        }
        if self.until.is_some() && self.lapsed(Instant::now()) {
            self.let_go(token);
            return Err(fenced());
        }
        self.overtaken.remove(&(token.sequence, token.handout));
        if self.lost.remove(&token.sequence) {
            return Err(expired());
        }
        match self.entry(token.sequence) {
            Some(entry) if entry.handout == token.handout && entry.state == State::Handed => Ok(entry),
            Some(entry) if entry.handout == token.handout && entry.state == State::Lapsed => Err(expired()),
            _ => {
                let text = "an earlier message of its key is delivered again first, and this one after it";
                Err(Error::new(Kind::Superseded, "settle", text))
            }
        }
    }
}

fn expired() -> Error {
    Error::new(Kind::LeaseExpired, "settle", "it was held for longer than its lease, and comes again")
}

pub(super) fn fenced() -> Error {
    let text = "its partition was taken away, and the new owner receives it";
    Error::new(Kind::Fenced, "settle", text)
}
