//! What happened in a run, line by line, in the order in which it was seen.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::{Group, MessageId};
use anybroker_memory::{Deed, Memory};
use tokio::time::Instant;

use crate::words;

/// Written by everything that is watched.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    began: Instant,
    /// Whose deeds are told between the lines.
    broker: Memory,
    /// How many of them have been.
    told: usize,
    written: Written,
    /// Messages are numbered as they are seen first.
    numbers: HashMap<MessageId, usize>,
    /// How often each came to each group.
    delivered: HashMap<(usize, Group), u32>,
}

/// A journal that is closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) lines: Vec<Line>,
    /// Messages that were not simply published, delivered and acknowledged.
    pub(crate) unusual: BTreeSet<usize>,
    /// What they say, if it can be read.
    words: Vec<(usize, String)>,
}

impl Written {
    /// The lines that matter for a failure: those of the messages that it names, or that had an unusual fate, and those of no
    /// message.
    pub(crate) fn lines_about(&self, failure: &str) -> Vec<&Line> {
        let concerned = &self.unusual | &self.named_in(failure);
        let matters = |line: &&Line| match line.message {
            Some(message) => concerned.contains(&message),
            None if line.note => {
                let named = self.named_in(&line.text);
                named.is_empty() || !named.is_disjoint(&concerned)
            }
            None => true,
        };
        self.lines.iter().filter(matters).collect()
    }

    /// The messages of which a text speaks in their own words.
    fn named_in(&self, text: &str) -> BTreeSet<usize> {
        let named = |(_, words): &&(usize, String)| speaks_of(text, words);
        self.words.iter().filter(named).map(|(message, _)| *message).collect()
    }
}

/// Whether the words stand in the text, and are not a part of others: `order-1` does not stand in `order-12`.
fn speaks_of(text: &str, words: &str) -> bool {
    let part = |next: Option<char>| next.is_some_and(char::is_alphanumeric);
    let alone = |(at, found): (usize, &str)| {
        !part(text[..at].chars().next_back()) && !part(text[at + found.len()..].chars().next())
    };
    !words.is_empty() && text.match_indices(words).any(alone)
}

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Duration,
    /// Empty: the adversary.
    pub(crate) who: String,
    pub(crate) text: String,
    /// The message that it is about.
    pub(crate) message: Option<usize>,
    /// The service's own words.
    pub(crate) note: bool,
}

impl Journal {
    pub(crate) fn new(broker: Memory) -> Self {
        let (began, written) = (Instant::now(), Written::default());
        let (numbers, delivered) = (HashMap::new(), HashMap::new());
        Journal(Arc::new(Mutex::new(Lines { began, broker, told: 0, written, numbers, delivered })))
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a message.
    pub(crate) fn number(&self, id: &MessageId, payload: &[u8]) -> usize {
        let mut lines = self.lock();
        let next = lines.numbers.len() + 1;
        let number = *lines.numbers.entry(id.clone()).or_insert(next);
        if number == next {
            lines.written.words.push((number, String::from_utf8_lossy(payload).into_owned()));
        }
        number
    }

    /// How often a message came to a group, with this time.
    pub(crate) fn delivered(&self, message: usize, group: &Group) -> u32 {
        let mut lines = self.lock();
        let times = lines.delivered.entry((message, group.clone())).or_default();
        *times += 1;
        *times
    }

    /// Something that has to do with no message.
    pub(crate) fn tell(&self, who: &str, text: impl Into<String>) {
        self.lock().add(who, text.into(), None, false);
    }

    /// What a service says of itself.
    pub(crate) fn note(&self, text: String) {
        self.lock().add("note", text, None, true);
    }

    /// What becomes of a message.
    pub(crate) fn message(&self, who: &str, message: usize, text: String) {
        self.lock().add(who, text, Some(message), false);
    }

    /// The same, and it ought not to be.
    pub(crate) fn unusual(&self, who: &str, message: usize, text: String) {
        let mut lines = self.lock();
        lines.written.unusual.insert(message);
        lines.add(who, text, Some(message), false);
    }

    pub(crate) fn written(&self) -> Written {
        let mut lines = self.lock();
        lines.tell_deeds();
        lines.written.clone()
    }
}

impl Lines {
    fn add(&mut self, who: &str, text: String, message: Option<usize>, note: bool) {
        // They have led to it.
        self.tell_deeds();
        let at = Instant::now() - self.began;
        self.written.lines.push(Line { at, who: who.to_owned(), text, message, note });
    }

    fn tell_deeds(&mut self) {
        let deeds = self.broker.adversary().map(|adversary| adversary.diary(self.told)).unwrap_or_default();
        self.told += deeds.len();
        let began = self.began;
        // Who is killed says so itself.
        let told = deeds.into_iter().filter(|done| done.chance.deed != Deed::ProcessKilled);
        self.written.lines.extend(told.map(|done| Line {
            at: done.at - began,
            who: String::new(),
            text: words::of(done.chance.deed).to_owned(),
            message: None,
            note: false,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_alone() {
        assert!(speaks_of("order-1 was charged", "order-1") && speaks_of("of (order-1)", "order-1"));
        assert!(!speaks_of("order-12 was charged, and reorder-1", "order-1"));
        assert!(!speaks_of("anything", ""));
    }
}
