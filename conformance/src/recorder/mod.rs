//! Records what an application does with a backend, and what came of it, as a history.
//!
//! A recorded broker behaves as the one it wraps. Every call writes its line before it is made, and its outcome after
//! it has come back, so that the order of the lines never claims more than was known.

mod backend;
mod consumer;
mod fingerprint;
mod publisher;

use std::collections::HashSet;
use std::io::{BufReader, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anybroker_core::{Broker, Group, Topic};
use tokio::time::Instant;

use crate::history::{Event, Fault, Header, HistoryError, HistoryWriter};
use crate::properties::{Report, check};

/// Writes one history; shared by everything that records into it.
pub struct Recorder {
    writer: Mutex<HistoryWriter<Sink>>,
    /// In tokio's time: where a test pauses it, the history tells of the time that its brokers saw.
    began: Instant,
    names: AtomicU64,
    prefix: String,
    /// Groups that have had a session, by topic.
    groups: Mutex<HashSet<(Topic, Group)>>,
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
            writer: Mutex::new(HistoryWriter::new(sink, header)?),
            began: Instant::now(),
            names: AtomicU64::new(0),
            prefix,
            groups: Mutex::default(),
        }))
    }

    /// `broker`, with everything that is done through it recorded.
    pub fn wrap(self: &Arc<Self>, broker: Broker) -> Broker {
        Arc::new(backend::Recorded { broker, recorder: self.clone() })
    }

    /// Records an event now.
    pub fn record(&self, event: &Event<'_>) {
        self.batch(|write| write(event));
    }

    /// Records a fault now.
    pub fn fault(&self, kind: &str, target: &str) {
        self.record(&Event::Fault(Fault { kind: kind.into(), target: target.into() }));
    }

    /// Records the lines of another process, which it wrote with a recorder of its own; they get this clock's time.
    ///
    /// # Errors
    /// `InvalidData` if the line is no event.
    pub fn relay(&self, line: &str) -> std::io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.relay(self.began.elapsed().as_nanos() as u64, line)
    }

    /// The history so far; empty where it is streamed.
    pub fn history(&self) -> Vec<u8> {
        match self.writer.lock().unwrap_or_else(PoisonError::into_inner).get_mut() {
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
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let time = self.began.elapsed().as_nanos() as u64;
        work(&mut |event| {
            if let Err(error) = writer.write(time, event) {
                tracing::error!(%error, "an event could not be recorded, and the history is incomplete");
            }
        });
        if let Err(error) = writer.flush() {
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
