//! What becomes of a partition's records: acknowledged, put back in order, lost to somebody else.

use tokio::time::Instant;

use super::{Entry, Partition, State};
use crate::delivery::Token;
use crate::error::{Error, Kind, Result};

impl Partition {
    /// The broker is asked to acknowledge the record of `token`: nobody else may settle it meanwhile.
    pub(in crate::kit) fn begin_ack(&mut self, token: Token) -> Result<u64> {
        let entry = self.held(token)?;
        entry.state = State::Confirming;
        Ok(entry.native)
    }

    /// The broker has answered: done, or in the application's hands as before.
    pub(in crate::kit) fn end_ack(&mut self, token: Token, confirmed: bool) {
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
    pub(in crate::kit) fn lose(&mut self, native: u64) {
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
    pub(in crate::kit) fn unpark(&mut self, key: &[u8]) {
        self.retries.unpark(key);
    }

    /// Marks the record of `token` as done.
    pub(in crate::kit) fn ack(&mut self, token: Token) -> Result<u64> {
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
    pub(in crate::kit) fn nack(&mut self, token: Token, due: Instant, now: Instant) -> Result<()> {
        let entry = self.held(token)?;
        entry.failures = entry.failures.saturating_add(1);
        entry.state = State::Waiting;
        self.put_back(token.sequence, due, now);
        Ok(())
    }

    /// Puts the record of `token` back without counting the attempt.
    pub(in crate::kit) fn release(&mut self, token: Token, now: Instant) -> Result<()> {
        self.postpone(token, now, now)
    }

    /// The same, to come again at `due`.
    pub(in crate::kit) fn postpone(&mut self, token: Token, due: Instant, now: Instant) -> Result<()> {
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
    pub(in crate::kit) fn lapse(&mut self, token: Token, now: Instant) {
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

pub(in crate::kit) fn fenced() -> Error {
    let text = "its partition was taken away, and the new owner receives it";
    Error::new(Kind::Fenced, "settle", text)
}
