//! Records what an application does with a backend, and what came of it, as a history.
//!
//! A recorded broker behaves as the one it wraps. Every call writes its line before it is made, and its outcome after
//! it has come back, so that the order of the lines never claims more than was known.

mod backend;
mod consumer;
mod copies;
mod fingerprint;
mod flight;
mod publisher;
mod transactions;
mod worker;

use std::collections::HashSet;
use std::io::{BufReader, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anybroker_core::{Broker, Group, Topic};
use anybroker_worker::Observer;
use tokio::sync::watch;
use tokio::time::Instant;

use consumer::Counted;

use crate::history::{Event, Fault, Header, HistoryError, HistoryWriter};
use crate::properties::{Report, check};

/// Messages whose ids begin with this are recorded as *sentinels*: published only to see that everything moves (P17).
pub const SENTINEL: &str = "sentinel-";

/// Writes one history; shared by everything that records into it.
pub struct Recorder {
    writer: Mutex<Writer>,
    /// How many messages are in flight.
    in_flight: watch::Sender<usize>,
    copies: copies::Copies,
    /// In tokio's time: where a test pauses it, the history tells of the time that its brokers saw.
    began: Instant,
    names: AtomicU64,
    prefix: String,
    /// Groups that have had a session, by topic.
    groups: Mutex<HashSet<(Topic, Group)>>,
}

struct Writer {
    lines: HistoryWriter<Sink>,
    flight: flight::Flight,
}

/// Where the lines go.
enum Sink {
    Memory(Vec<u8>),
    Stream(Box<dyn Write + Send>),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Sink::Memory(lines) => lines.write(bytes),
            Sink::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Sink::Memory(_) => Ok(()),
            Sink::Stream(stream) => stream.flush(),
        }
    }
}

impl Recorder {
    /// Begins a history, kept in memory, that is held to what `header` promises.
    ///
    /// # Errors
    /// None in practice.
    pub fn new(header: &Header) -> std::io::Result<Arc<Self>> {
        Self::begin(Sink::Memory(Vec::new()), header, String::new())
    }

    /// Begins a history whose lines go to `stream` at once, for a process whose parent relays them. `prefix` stands in
    /// front of every name, so that several processes' names differ.
    ///
    /// # Errors
    /// Whatever writing fails with.
    pub fn stream(
        stream: Box<dyn Write + Send>,
        header: &Header,
        prefix: String,
    ) -> std::io::Result<Arc<Self>> {
        Self::begin(Sink::Stream(stream), header, prefix)
    }

    fn begin(sink: Sink, header: &Header, prefix: String) -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Recorder {
            writer: Mutex::new(Writer {
                lines: HistoryWriter::new(sink, header)?,
                flight: flight::Flight::default(),
            }),
            in_flight: watch::Sender::new(0),
            copies: copies::Copies::default(),
            began: Instant::now(),
            names: AtomicU64::new(0),
            prefix,
            groups: Mutex::default(),
        }))
    }

    /// `broker`, with everything that is done through it recorded.
    pub fn wrap(self: &Arc<Self>, broker: Broker) -> Broker {
        self.wrapped(broker, Counted::Received)
    }

    /// `broker` for workers, with the observer that each of them must have: a message counts as delivered when a handler
    /// begins with it, and not if the worker drops it before.
    pub fn wrap_for_workers(self: &Arc<Self>, broker: Broker) -> (Broker, Arc<dyn Observer>) {
        (self.wrapped(broker, Counted::Begun), Arc::new(worker::Begins))
    }

    fn wrapped(self: &Arc<Self>, broker: Broker, counted: Counted) -> Broker {
        Arc::new(backend::Recorded { broker, recorder: self.clone(), counted })
    }

    /// Records an event now.
    pub fn record(&self, event: &Event<'_>) {
        self.batch(|write| write(event));
    }

    /// Records a fault now.
    pub fn fault(&self, kind: &str, target: &str) {
        self.record(&Event::Fault(Fault { kind: kind.into(), target: target.into() }));
    }

    /// Waits until this many messages are in flight (publishes without an outcome, deliveries unsettled), and records a fault at
    /// that moment: what breaks now breaks something.
    ///
    /// # Cancel safety
    /// Cancel safe: until it returns nothing is recorded.
    pub async fn fault_in_flight(&self, kind: &str, target: &str, least: usize) {
        let mut in_flight = self.in_flight.subscribe();
        let fault = Event::Fault(Fault { kind: kind.into(), target: target.into() });
        // The sender is ours, so that waiting cannot fail.
        while in_flight.wait_for(|count| *count >= least).await.is_ok() {
            let mut writer = self.lock();
            if writer.flight.count() >= least {
                return self.write(&mut writer, |write| write(&fault));
            }
        }
    }

    /// How many messages are in flight.
    pub fn in_flight(&self) -> usize {
        *self.in_flight.borrow()
    }

    /// Records the lines of another process, which it wrote with a recorder of its own; they get this clock's time.
    ///
    /// # Errors
    /// `InvalidData` if the line is no event.
    pub fn relay(&self, line: &str) -> std::io::Result<()> {
        let mut writer = self.lock();
        writer.flight.line(line);
        self.tell(&writer);
        writer.lines.relay(self.began.elapsed().as_nanos() as u64, line)
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, writer: &Writer) {
        let now = writer.flight.count();
        self.in_flight.send_if_modified(|count| std::mem::replace(count, now) != now);
    }

    /// The history so far; empty where it is streamed.
    pub fn history(&self) -> Vec<u8> {
        match self.lock().lines.get_mut() {
            Sink::Memory(lines) => lines.clone(),
            Sink::Stream(_) => Vec::new(),
        }
    }

    /// Holds the history so far to its promises.
    ///
    /// # Errors
    /// The history does not read: a mistake in what recorded it.
    pub fn check(&self) -> Result<Report, HistoryError> {
        crate::history::read(BufReader::new(&self.history()[..])).map(|history| check(&history))
    }

    /// The group exists already: its next session resumes.
    pub fn group_exists(&self, topic: &Topic, group: &Group) {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).insert((topic.clone(), group.clone()));
    }

    fn is_new(&self, topic: &Topic, group: &Group) -> bool {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        !groups.contains(&(topic.clone(), group.clone()))
    }

    /// A name that nobody else has.
    fn name(&self, kind: &str) -> String {
        format!("{}{kind}{}", self.prefix, self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// Records several events that nothing else may come between.
    fn batch(&self, work: impl FnOnce(&mut dyn FnMut(&Event<'_>))) {
        self.write(&mut self.lock(), work);
    }

    fn write(&self, writer: &mut Writer, work: impl FnOnce(&mut dyn FnMut(&Event<'_>))) {
        let time = self.began.elapsed().as_nanos() as u64;
        work(&mut |event| {
            writer.flight.event(event);
            if let Err(error) = writer.lines.write(time, event) {
                tracing::error!(%error, "an event could not be recorded, and the history is incomplete");
            }
        });
        self.tell(writer);
        if let Err(error) = writer.lines.flush() {
            tracing::error!(%error, "events could not be recorded, and the history is incomplete");
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Writes the history to a file, for `anybroker check`.
    ///
    /// # Errors
    /// Whatever writing fails with.
    pub fn save(&self, path: &std::path::Path) -> std::io::Result<()> {
        std::fs::File::create(path)?.write_all(&self.history())
    }
}
