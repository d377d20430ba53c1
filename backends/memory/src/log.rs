//! A partition's log: what was published, in order.

use std::collections::VecDeque;

use anybroker_core::Record;

/// A stored message.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) record: Record,
    /// Milliseconds since 1970.
    pub(crate) time: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The offset of the first message kept.
    start: u64,
    messages: VecDeque<Stored>,
}

impl Log {
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The offset of the next message to be published.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.messages.len() as u64
    }

    pub(crate) fn append(&mut self, stored: Stored) -> u64 {
        self.messages.push_back(stored);
        self.end() - 1
    }

    /// Takes the last message back.
    pub(crate) fn undo(&mut self) {
        self.messages.pop_back();
    }

    pub(crate) fn get(&self, offset: u64) -> Option<&Stored> {
        self.messages.get(offset.checked_sub(self.start)? as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Drops the messages before `offset`.
    pub(crate) fn trim(&mut self, offset: u64) {
        let gone = offset.saturating_sub(self.start).min(self.messages.len() as u64);
        self.messages.drain(..gone as usize);
        self.start += gone;
    }
}
