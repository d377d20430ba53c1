//! What became of letters.

use std::fmt;
use std::sync::Arc;

use super::Letter;
use crate::delivery::{Delivery, Settlement, Settler};
use crate::error::{Error, Fate};
use crate::message::MessageId;
use crate::topic::Topic;

/// What became of one letter.
#[derive(Debug)]
pub struct Handled {
    /// The id of the message that it is.
    pub id: Option<MessageId>,
    /// Where it was published, or was to be; none for a letter that is discarded.
    pub topic: Option<Topic>,
    /// Whether it took effect: it is where it was to go, or is discarded.
    pub done: bool,
    /// What went wrong. With `done`, the letter could not be acknowledged, and comes again.
    pub error: Option<Error>,
}

impl Handled {
    pub(super) fn new(letter: &Letter, topic: Option<&Topic>) -> Self {
        Handled { id: letter.id(), topic: topic.cloned(), done: false, error: None }
    }

    /// What became of it, in a word: `done`, `failed` or `unknown`.
    pub fn as_str(&self) -> &'static str {
        match &self.error {
            _ if self.done => "done",
            Some(error) if error.fate() == Fate::Unknown => "unknown",
            _ => "failed",
        }
    }
}

/// How many letters came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Those that were meant.
    pub matched: usize,
    /// Those that were replayed or discarded.
    pub done: usize,
    /// Those that could not be, or of which it is not known whether they were.
    pub failed: usize,
    /// Those that were not tried: they stand behind a failed one of their key, or it ended before.
    pub left: usize,
    /// Those that are done and could not be acknowledged: they come again.
    pub again: usize,
}

impl Summary {
    pub(super) fn add(&mut self, matched: usize) {
        self.matched += matched;
        self.left += matched;
    }

    pub(super) fn count(&mut self, handled: &[Handled]) {
        let done = handled.iter().filter(|one| one.done).count();
        self.done += done;
        self.failed += handled.len() - done;
        self.left -= handled.len();
        self.again += handled.iter().filter(|one| one.done && one.error.is_some()).count();
    }

    /// Whether every letter that was meant is done, and none of them comes again.
    pub fn is_complete(&self) -> bool {
        self.done == self.matched && self.again == 0
    }
}

/// Acknowledges letters.
#[derive(Clone)]
pub(super) struct Acknowledger(pub(super) Arc<dyn Settler>);

impl Acknowledger {
    /// Acknowledges a batch, and says of those that could not be why.
    pub(super) async fn acknowledge(&self, done: Vec<(Delivery, &mut Handled)>) {
        let (batch, handled): (Vec<_>, Vec<_>) =
            done.into_iter().map(|(delivery, handled)| (Settlement::ack(delivery), handled)).unzip();
        for (handled, settled) in handled.into_iter().zip(self.0.settle(batch).await) {
            handled.error = settled.err().map(Error::from);
        }
    }
}

impl fmt::Debug for Acknowledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Acknowledger({} of {})", self.0.group(), self.0.topic())
    }
}
