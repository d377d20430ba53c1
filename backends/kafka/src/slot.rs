//! One partition in the hands of a consumer: where it stands, and what is to be committed for it.

use std::collections::VecDeque;

use anybroker_core::RecordBuffer;
use anybroker_core::kit::{Incoming, Returned, Session};
use rdkafka::error::KafkaError;

use crate::attempts::{Mark, Owner};
use crate::enlist::Place;
use crate::past::Past;
use crate::raw::{Fields, Queue};
use crate::rebalance::Member;
use crate::record;

/// Records are taken from a partition in portions of so many messages and bytes, then it is the next one's turn.
const PORTION: (usize, usize) = (256, 1 << 20);

/// A partition that is ours.
pub(crate) struct Slot {
    pub(crate) number: u32,
    /// The session's number for this assignment.
    generation: u32,
    /// librdkafka's queue of this partition alone. Not reading it is the back-pressure: the client stops fetching
    /// when it is full. (`pause()` would throw away what has been fetched.)
    queue: Queue<Member>,
    /// Records that came by the common queue.
    stray: VecDeque<Incoming>,
    /// The offset after the last record that the session has, and after what of the following is done.
    position: u64,
    /// What was known when the partition became ours.
    known: Mark,
    /// What this session did here before; when the partition goes, what it has done since as well.
    past: Past,
    /// Who commits here.
    owner: Owner,
    /// So many messages are still handed out in small portions, because the last session died.
    cautious: usize,
    /// The next such portion, and how much is left of the last one.
    portion: (usize, usize),
    /// A message whose attempt is committed before it is handed out.
    waiting: Option<Incoming>,
    /// The last commit, when nothing is handed out any more.
    last: Option<Mark>,
    /// What the broker has confirmed.
    pub(crate) confirmed: Option<Mark>,
    /// A transaction commits it, and nobody else may.
    frozen: bool,
    /// It is about to be taken away: what comes now would take the room of the others.
    draining: bool,
}

impl Slot {
    /// A partition that starts as `known` says: cautiously, if that was said by a session that did not end well. What
    /// was done according to `past` is left out.
    pub(crate) fn new(
        number: u32,
        queue: Queue<Member>,
        known: Mark,
        past: Past,
        owner: Owner,
        session: &Session,
    ) -> Self {
        // Whoever had it last died with it. Our own commit says only that we lost it for a while.
        let died = known.open.is_some_and(|last| last != owner);
        let cautious = if died { session.subscription().prefetch } else { 0 };
        Slot {
            number,
            generation: session.assign(number),
            queue,
            stray: VecDeque::new(),
            position: known.offset,
            known,
            past,
            owner,
            cautious,
            portion: (1, 0),
            waiting: None,
            last: None,
            confirmed: None,
            frozen: false,
            draining: false,
        }
    }

    /// Leaves the commits to a transaction; says from where. None if it has ended.
    pub(crate) fn freeze(&mut self) -> Option<Place> {
        if self.last.is_some() {
            return None;
        }
        self.frozen = true;
        Some(Place {
            number: self.number,
            generation: self.generation,
            position: self.position,
            attempts: self.attempts(self.position),
            seen: self.position.max(self.known.seen),
            owner: self.owner,
        })
    }

    /// The transaction has ended, with this committed or with nothing.
    pub(crate) fn thaw(&mut self, generation: u32, committed: Option<Mark>) {
        if self.generation == generation {
            self.frozen = false;
            self.confirmed = committed.or(self.confirmed);
        }
    }

    /// Whether a transaction commits it at the moment.
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// What is to be committed now.
    pub(crate) fn wanted(&self, session: &Session) -> Mark {
        if let Some(last) = self.last {
            return last;
        }
        let seen = self.position.max(self.known.seen);
        if let Some(waiting) = &self.waiting {
            let attempts = waiting.attempts.saturating_add(1);
            let offset = waiting.native;
            return Mark { offset, attempts, seen: seen.max(offset + 1), open: Some(self.owner) };
        }
        match session.head(self.number) {
            Some((offset, attempts)) => Mark { offset, attempts, seen, open: Some(self.owner) },
            None => Mark {
                offset: self.position,
                attempts: self.attempts(self.position),
                seen,
                open: Some(self.owner),
            },
        }
    }

    /// Whether a commit keeps messages waiting.
    pub(crate) fn is_urgent(&self) -> bool {
        !self.frozen && (self.confirmed.is_none() || self.waiting.is_some() || self.last.is_some())
    }

    /// Whether the next message waits for the one in hand.
    pub(crate) fn is_cautious(&self) -> bool {
        self.cautious > 0
    }

    fn attempts(&self, offset: u64) -> u32 {
        let head = if offset == self.known.offset { self.known.attempts } else { 0 };
        self.past.attempts(offset).unwrap_or(head)
    }

    /// Gives the session up to `room` records, unannounced; says how many and whether there may be more.
    ///
    /// # Errors
    /// The first error that librdkafka reports for the partition.
    pub(crate) fn fetch(
        &mut self,
        session: &Session,
        buffer: &mut RecordBuffer,
        batch: &mut Vec<Incoming>,
        room: usize,
    ) -> Result<(usize, bool), KafkaError> {
        if self.confirmed.is_none() || self.last.is_some() || self.draining {
            return Ok((0, false));
        }
        if self.cautious > 0 {
            return self.fetch_cautiously(session, buffer, room);
        }
        let mut bytes = 0;
        let mut result = Ok(());
        let most = room.min(PORTION.0);
        self.queue.take(most);
        while batch.len() < most && bytes < PORTION.1 {
            match self.next(buffer) {
                Ok(Some(incoming)) => {
                    bytes += incoming.record.size();
                    batch.push(incoming);
                }
                Ok(None) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let count = batch.len();
        if let Some(last) = batch.last() {
            self.position = self.past.skip(last.native + 1);
            session.push_unannounced(self.number, self.generation, batch.drain(..));
        }
        result.map(|()| (count, count == PORTION.0 || bytes >= PORTION.1))
    }

    /// One message, and when that is done two, four, eight; only when the attempt of the first of them is known to the
    /// broker. So one that kills its process is soon alone with it, and a partition whose owner died for another reason is
    /// soon at full speed again.
    fn fetch_cautiously(
        &mut self,
        session: &Session,
        buffer: &mut RecordBuffer,
        room: usize,
    ) -> Result<(usize, bool), KafkaError> {
        let mut count = 0;
        if self.portion.1 == 0 {
            if session.head(self.number).is_some() {
                return Ok((0, false));
            }
            if self.waiting.is_none() {
                self.waiting = self.next(buffer)?;
            }
            let ready = self.waiting.is_some() && self.confirmed == Some(self.wanted(session));
            let Some(incoming) = self.waiting.take_if(|_| ready) else { return Ok((0, false)) };
            let next = self.portion.0;
            self.portion = (next * 2, next);
            self.hand_out(session, incoming);
            count += 1;
        }
        while self.portion.1 > 0 && self.cautious > 0 && count < room {
            let Some(incoming) = self.next(buffer)? else { break };
            self.hand_out(session, incoming);
            count += 1;
        }
        Ok((count, count > 0 && count == room))
    }

    fn hand_out(&mut self, session: &Session, incoming: Incoming) {
        self.cautious -= 1;
        self.portion.1 -= 1;
        self.position = self.past.skip(incoming.native + 1);
        session.push(self.number, self.generation, incoming);
    }

    /// The next message that is not done.
    fn next(&mut self, buffer: &mut RecordBuffer) -> Result<Option<Incoming>, KafkaError> {
        loop {
            let next = self.read(buffer)?;
            let Some(offset) = next.as_ref().map(|incoming| incoming.native) else { return Ok(None) };
            if offset < self.known.offset {
                // The broker has lost the log's end and sent us back: the same offsets may be other messages now.
                self.past = Past::default();
            }
            if self.past.skip(offset) == offset {
                return Ok(next);
            }
        }
    }

    fn read(&mut self, buffer: &mut RecordBuffer) -> Result<Option<Incoming>, KafkaError> {
        if let Some(stray) = self.stray.pop_front() {
            return Ok(Some(stray));
        }
        self.queue.take(1);
        let next = self.queue.next()?.map(|record| record::incoming(buffer, record));
        Ok(next.map(|incoming| self.with_history(incoming)))
    }

    /// The record with how often it has been handed out, and whether it may have been, by those who had the partition
    /// before.
    fn with_history(&self, incoming: Incoming) -> Incoming {
        let attempts = self.attempts(incoming.native);
        let redelivered = attempts > 0 || incoming.native < self.known.seen || self.cautious > 0;
        Incoming { attempts, redelivered, ..incoming }
    }

    /// Takes a record that came by the common queue.
    pub(crate) fn take_stray(&mut self, buffer: &mut RecordBuffer, record: Fields<'_>) {
        let stray = self.with_history(record::incoming(buffer, record));
        self.stray.push_back(stray);
    }

    /// Hands out nothing more, since it is about to be taken away.
    pub(crate) fn drain(&mut self, session: &Session) {
        self.draining = true;
        session.drain(self.number);
    }

    /// Takes the partition out of the session: from now on its deliveries are void, and what is not settled goes
    /// back. What is left is to commit that it ended in good order.
    pub(crate) fn end(&mut self, session: &Session) {
        let returned = session.revoke(self.number);
        let last = self.final_mark(&returned);
        self.past.lose(self.position, &returned, Some(last));
        self.last = Some(last);
        self.waiting = None;
    }

    /// Takes the partition out of the session for good; what was done there is left.
    pub(crate) fn into_past(mut self, session: &Session) -> Past {
        let returned = session.revoke(self.number);
        if self.last.is_none() {
            self.past.lose(self.position, &returned, None);
        }
        self.past
    }

    fn final_mark(&self, returned: &[Returned]) -> Mark {
        let handed_out = returned.iter().rfind(|r| r.attempts > 0).map(|r| r.native + 1);
        let (offset, attempts) = match (returned.first(), &self.waiting) {
            (Some(head), _) => (head.native, head.attempts),
            (None, Some(waiting)) => (waiting.native, waiting.attempts),
            (None, None) => (self.position, self.attempts(self.position)),
        };
        let seen = handed_out.unwrap_or(offset).max(self.known.seen);
        Mark { offset, attempts, seen, open: None }
    }

    /// Whether it is taken out of the session.
    pub(crate) fn is_ending(&self) -> bool {
        self.last.is_some()
    }

    /// Whether the last commit is confirmed.
    pub(crate) fn has_ended(&self) -> bool {
        self.last.is_some() && self.confirmed == self.last
    }

    /// Calls `wake` when a record arrives in its empty queue; under a lock of librdkafka's, so that it must not wait.
    pub(crate) fn wake_by(&mut self, wake: impl Fn() + Send + Sync + 'static) {
        self.queue.wake_by(wake);
    }
}
