//! Small histories, written tersely.

use std::collections::HashMap;

use super::error::HistoryError;
use super::event::{
    Close, CloseCause, Deliver, Drained, Event, Fault, Open, Outcome, Publish, Published, Settle,
    SettleVerdict, Settled, Start, TransactionEnd, TransactionStep,
};
use super::header::{Header, Promises};
use super::model::History;
use super::read::read;
use super::wire::{Position, Text};
use super::write::HistoryWriter;

const MILLISECOND: u64 = 1_000_000;

/// A history put together in code, for tests: every call adds one line, a millisecond after the line above.
///
/// What is not said takes a usual value: publisher `p`, topic `t`, group `g`, no key. A delivery has the key and the
/// hashes that its message was published with.
///
/// ```
/// use anybroker_conformance::history::{Nothing, Promises, Sketch};
///
/// let promises = Promises { p1: Some(Nothing {}), ..Promises::default() };
/// let history = Sketch::new(promises).open("s").publish("m1").ok("m1").deliver("d1", "m1", "s").ack("d1").read();
/// assert_eq!(history?.events(), 5);
/// # Ok::<(), anybroker_conformance::history::HistoryError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sketch {
    /// The header.
    pub header: Header,
    /// The events with their times: event `i` is on line `i + 2`.
    pub events: Vec<(u64, Event<'static>)>,
    time: u64,
    published: HashMap<String, Publish<'static>>,
}

impl Sketch {
    /// A history without events.
    pub fn new(promises: Promises) -> Self {
        let header = Header { epsilon_ms: 0, ..Header::new("sketch", promises) };
        Self { header, events: Vec::new(), time: 0, published: HashMap::new() }
    }

    /// Adds any event.
    #[must_use]
    pub fn event(mut self, event: Event<'static>) -> Self {
        self.push(event);
        self
    }

    /// Adds any event.
    pub fn push(&mut self, event: Event<'static>) {
        self.time += MILLISECOND;
        if let Event::Publish(publish) = &event {
            self.published.insert(publish.m.to_string(), publish.clone());
        }
        self.events.push((self.time, event));
    }

    /// Lets the next event be this many milliseconds after the last, instead of one.
    #[must_use]
    pub fn wait(mut self, millis: u64) -> Self {
        self.time += (millis * MILLISECOND).saturating_sub(MILLISECOND);
        self
    }

    /// A publish without a key.
    #[must_use]
    pub fn publish(self, m: &str) -> Self {
        self.publish_as(m, |_| {})
    }

    /// A publish with a key.
    #[must_use]
    pub fn keyed(self, m: &str, key: &str) -> Self {
        self.publish_as(m, |publish| publish.key = Some(text(key)))
    }

    /// A publish with whatever `change` makes of it.
    #[must_use]
    pub fn publish_as(self, m: &str, change: impl FnOnce(&mut Publish<'static>)) -> Self {
        let mut publish = Publish {
            m: text(m),
            publisher: text("p"),
            topic: text("t"),
            hash: text(&format!("hash of {m}")),
            ..Publish::default()
        };
        change(&mut publish);
        self.event(Event::Publish(publish))
    }

    /// A publish that was confirmed.
    #[must_use]
    pub fn ok(self, m: &str) -> Self {
        self.published(m, Outcome::Ok)
    }

    /// A publish that was confirmed with a position in partition 0.
    #[must_use]
    pub fn ok_at(self, m: &str, offset: u64) -> Self {
        self.published_as(m, |published| published.position = Some(Position { partition: 0, offset }))
    }

    /// A publish whose outcome came back.
    #[must_use]
    pub fn published(self, m: &str, outcome: Outcome) -> Self {
        self.published_as(m, |published| published.outcome = outcome)
    }

    /// A publish that was confirmed, with whatever `change` makes of it.
    #[must_use]
    pub fn published_as(self, m: &str, change: impl FnOnce(&mut Published<'static>)) -> Self {
        let mut published = Published { m: text(m), outcome: Outcome::Ok, position: None, duplicate: None };
        change(&mut published);
        self.event(Event::Published(published))
    }

    /// A session of group `g` from the earliest message, with a consumer of its own.
    #[must_use]
    pub fn open(self, session: &str) -> Self {
        self.open_as(session, |_| {})
    }

    /// A session with whatever `change` makes of it.
    #[must_use]
    pub fn open_as(self, session: &str, change: impl FnOnce(&mut Open<'static>)) -> Self {
        let mut open = Open {
            session: text(session),
            consumer: text(&format!("consumer {session}")),
            group: text("g"),
            topic: text("t"),
            start: Start::Earliest,
        };
        change(&mut open);
        self.event(Event::Open(open))
    }

    /// A session closed in order.
    #[must_use]
    pub fn close(self, session: &str) -> Self {
        self.event(Event::Close(Close { session: text(session), cause: CloseCause::Closed }))
    }

    /// A delivery.
    #[must_use]
    pub fn deliver(self, d: &str, m: &str, session: &str) -> Self {
        self.deliver_as(d, m, session, |_| {})
    }

    /// A delivery from partition 0.
    #[must_use]
    pub fn deliver_at(self, d: &str, m: &str, session: &str, offset: u64) -> Self {
        let position = Some(Position { partition: 0, offset });
        self.deliver_as(d, m, session, |deliver| deliver.position = position)
    }

    /// A delivery with whatever `change` makes of it.
    #[must_use]
    pub fn deliver_as(
        self,
        d: &str,
        m: &str,
        session: &str,
        change: impl FnOnce(&mut Deliver<'static>),
    ) -> Self {
        let published = self.published.get(m).cloned().unwrap_or_default();
        let mut deliver = Deliver {
            d: text(d),
            m: text(m),
            session: text(session),
            key: published.key,
            hash: published.hash,
            meta: published.meta,
            ..Deliver::default()
        };
        change(&mut deliver);
        self.event(Event::Deliver(deliver))
    }

    /// An acknowledgement that was invoked.
    #[must_use]
    pub fn ack(self, d: &str) -> Self {
        self.settle(d, SettleVerdict::Ack)
    }

    /// A negative acknowledgement that was invoked.
    #[must_use]
    pub fn nack(self, d: &str) -> Self {
        self.settle(d, SettleVerdict::Nack)
    }

    /// A settlement that was invoked.
    #[must_use]
    pub fn settle(self, d: &str, verdict: SettleVerdict) -> Self {
        self.settle_as(d, verdict, |_| {})
    }

    /// A settlement with whatever `change` makes of it.
    #[must_use]
    pub fn settle_as(
        self,
        d: &str,
        verdict: SettleVerdict,
        change: impl FnOnce(&mut Settle<'static>),
    ) -> Self {
        let mut settle = Settle { d: text(d), verdict, delay_ms: None, transaction: None };
        change(&mut settle);
        self.event(Event::Settle(settle))
    }

    /// A settlement whose outcome came back.
    #[must_use]
    pub fn settled(self, d: &str, outcome: Outcome) -> Self {
        self.event(Event::Settled(Settled { d: text(d), outcome }))
    }

    /// A transaction's begin.
    #[must_use]
    pub fn begin(self, transaction: &str) -> Self {
        self.event(Event::Begin(step(transaction)))
    }

    /// A transaction's commit, invoked.
    #[must_use]
    pub fn commit(self, transaction: &str) -> Self {
        self.event(Event::Commit(step(transaction)))
    }

    /// A transaction's abort, invoked.
    #[must_use]
    pub fn abort(self, transaction: &str) -> Self {
        self.event(Event::Abort(step(transaction)))
    }

    /// The outcome of a transaction's commit or abort.
    #[must_use]
    pub fn transaction_end(self, transaction: &str, outcome: Outcome) -> Self {
        let step = step(transaction);
        let end = TransactionEnd { transaction: step.transaction, publisher: step.publisher, outcome };
        self.event(Event::TransactionEnd(end))
    }

    /// A fault on the broker.
    #[must_use]
    pub fn fault(self, kind: &str) -> Self {
        self.event(Event::Fault(Fault { kind: text(kind), target: text("broker") }))
    }

    /// Group `g` of topic `t` is drained.
    #[must_use]
    pub fn drained(self) -> Self {
        self.drained_as("g", "t")
    }

    /// Any group is drained.
    #[must_use]
    pub fn drained_as(self, group: &str, topic: &str) -> Self {
        self.event(Event::Drained(Drained { group: text(group), topic: text(topic) }))
    }

    /// The history as a file.
    pub fn bytes(&self) -> Vec<u8> {
        self.write().unwrap_or_default()
    }

    /// The history as it is read back.
    ///
    /// # Errors
    ///
    /// What the format does not allow.
    pub fn read(&self) -> Result<History, HistoryError> {
        read(self.bytes().as_slice())
    }

    fn write(&self) -> std::io::Result<Vec<u8>> {
        let mut writer = HistoryWriter::new(Vec::new(), &self.header)?;
        for (time, event) in &self.events {
            writer.write(*time, event)?;
        }
        Ok(writer.into_inner())
    }
}

fn text(text: &str) -> Text<'static> {
    Text::from(text.to_owned())
}

fn step(transaction: &str) -> TransactionStep<'static> {
    TransactionStep { transaction: text(transaction), publisher: text("p") }
}
