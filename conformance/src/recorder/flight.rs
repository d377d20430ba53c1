//! What is in flight: publishes without an outcome, and deliveries that are held unsettled.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use crate::history::Event;

/// Counts as events are recorded.
#[derive(Debug, Default)]
pub(super) struct Flight {
    publishing: usize,
    /// Of each session that is open.
    held: HashMap<String, usize>,
}

/// The fields of an event that count.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    e: Cow<'a, str>,
    #[serde(borrow, default)]
    session: Cow<'a, str>,
    #[serde(borrow, default)]
    d: Cow<'a, str>,
    #[serde(borrow, default)]
    transaction: Option<Cow<'a, str>>,
}

impl Flight {
    /// How many messages are in flight.
    pub(super) fn count(&self) -> usize {
        self.publishing + self.held.values().sum::<usize>()
    }

    pub(super) fn event(&mut self, event: &Event<'_>) {
        match event {
            // In a transaction it has no outcome of its own.
            Event::Publish(publish) if publish.transaction.is_some() => {}
            Event::Publish(_) => self.publish(),
            Event::Published(_) => self.published(),
            Event::Deliver(deliver) => self.deliver(&deliver.session),
            Event::Settle(settle) => self.settle(&settle.d),
            Event::Close(close) => self.close(&close.session),
            _ => {}
        }
    }

    /// The same of a line that another process wrote.
    pub(super) fn line(&mut self, line: &str) {
        let Ok(line) = serde_json::from_str::<Line<'_>>(line) else { return };
        match &*line.e {
            "publish" if line.transaction.is_none() => self.publish(),
            "published" => self.published(),
            "deliver" => self.deliver(&line.session),
            "settle" => self.settle(&line.d),
            "close" => self.close(&line.session),
            _ => {}
        }
    }

    fn publish(&mut self) {
        self.publishing += 1;
    }

    fn published(&mut self) {
        self.publishing = self.publishing.saturating_sub(1);
    }

    fn deliver(&mut self, session: &str) {
        match self.held.get_mut(session) {
            Some(held) => *held += 1,
            None => _ = self.held.insert(session.to_owned(), 1),
        }
    }

    /// A delivery's name begins with that of its session.
    fn settle(&mut self, d: &str) {
        let session = d.split_once(':').map_or(d, |(session, _)| session);
        if let Some(held) = self.held.get_mut(session) {
            *held = held.saturating_sub(1);
        }
    }

    fn close(&mut self, session: &str) {
        self.held.remove(session);
    }
}
