//! Writes a history.

use std::io::{self, Write};

use serde::Serialize;

use super::event::Event;
use super::header::Header;
use super::lines::MAX_LINE;

/// Writes the lines of a history in the order in which it is given them.
///
/// It buffers nothing: give it a `BufWriter`. For several recording threads, put it behind a mutex; the order in which
/// they take it is the order of the history.
#[derive(Debug)]
pub struct HistoryWriter<W> {
    to: W,
    time: u64,
    line: Vec<u8>,
}

#[derive(Serialize)]
struct Stamped<'a> {
    t: u64,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

impl<W: Write> HistoryWriter<W> {
    /// Begins a history with its header.
    ///
    /// # Errors
    ///
    /// As [`HistoryWriter::write`].
    pub fn new(to: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self { to, time: 0, line: Vec::new() };
        writer.write_line(header)?;
        Ok(writer)
    }

    /// Writes an event that happened at `time`, in nanoseconds of one monotonic clock.
    ///
    /// A time before that of the event above (two threads read the clock and then came in the other order) is raised
    /// to it, since the order of the lines is what counts.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for an event that is too long for a line, of which nothing is written, and
    /// whatever writing fails with.
    pub fn write(&mut self, time: u64, event: &Event<'_>) -> io::Result<()> {
        self.time = self.time.max(time.min(i64::MAX as u64));
        let line = Stamped { t: self.time, event };
        self.write_line(&line)
    }

    /// Writes an event that another process wrote as a line, at this clock's `time`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] if the line is no JSON object; otherwise as [`HistoryWriter::write`].
    pub fn relay(&mut self, time: u64, line: &str) -> io::Result<()> {
        let mut event: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)?;
        self.time = self.time.max(time.min(i64::MAX as u64));
        event.insert("t".to_owned(), self.time.into());
        self.write_line(&event)
    }

    /// What the history is written to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.to
    }

    /// Writes out what `W` has buffered.
    ///
    /// # Errors
    ///
    /// Whatever flushing fails with.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// What the history was written to.
    pub fn into_inner(self) -> W {
        self.to
    }

    fn write_line(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        if self.line.len() > MAX_LINE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the event is too long for a line of 1 MiB",
            ));
        }
        self.line.push(b'\n');
        self.to.write_all(&self.line)
    }
}
