//! What is printed: data on stdout, everything else on stderr.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anybroker::Position;
use comfy_table::presets;
use comfy_table::{ColumnConstraint, ContentArrangement, Table};
use serde::Serialize;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::failure::Failure;
use anybroker::worker::Signals;

/// Prints a whole result. A reader who has gone away is not an error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritable(&error)),
        _ => Ok(()),
    }
}

/// Prints a whole result as one line of JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|e| Failure::new(e.to_string()))?;
    print(&text)
}

/// Says why the command could not run.
pub(crate) fn error(text: &str) {
    let label = if colour(&io::stderr()) { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
    complain(&format!("{label} {text}"));
}

/// Says something beside the data.
pub(crate) fn note(text: &str) {
    complain(text);
}

fn complain(text: &str) {
    // Where stderr is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether to colour: on a terminal, unless the person said no.
pub(crate) fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A table that fits the terminal; wide where there is none. The names in its first column are never broken.
pub(crate) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(head);
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    if let Some((width, _)) = terminal_size::terminal_size() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.0);
    }
    table
}

/// A position as JSON.
#[derive(Serialize)]
pub(crate) struct Place {
    partition: u32,
    offset: u64,
}

impl From<Position> for Place {
    fn from(position: Position) -> Self {
        Place { partition: position.partition, offset: position.offset }
    }
}

/// Lines printed while other work goes on: a reader who is slow or gone holds up nothing but the printing.
pub(crate) struct Lines {
    out: Box<dyn AsyncWrite + Send + Unpin>,
    buffer: Vec<u8>,
}

/// How long a reader has to take the last lines after a signal.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// What became of printing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Printed {
    /// It has been written.
    Written,
    /// Nobody reads any more.
    ReaderGone,
}

impl Lines {
    /// Lines on stdout.
    pub(crate) fn new() -> Self {
        Self::to(tokio::io::stdout())
    }

    pub(crate) fn to(out: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Lines { out: Box::new(out), buffer: Vec::new() }
    }

    /// Adds a line; [`flush`](Self::flush) writes it.
    pub(crate) fn text(&mut self, line: &str) {
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
    }

    /// Adds a line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.buffer, value).map_err(|e| Failure::new(e.to_string()))?;
        self.buffer.push(b'\n');
        Ok(())
    }

    /// Writes what was added; says whether a signal came meanwhile. A reader who does not read then is left alone.
    pub(crate) async fn flush_or_stop(&mut self, signals: &mut Signals) -> Result<(Printed, bool), Failure> {
        let mut flush = std::pin::pin!(self.flush());
        tokio::select! {
            printed = &mut flush => Ok((printed?, false)),
            () = signals.next() => match tokio::time::timeout(LAST_WRITE, flush).await {
                Ok(printed) => Ok((printed?, true)),
                Err(_) => Ok((Printed::ReaderGone, true)),
            }
        }
    }

    async fn flush(&mut self) -> Result<Printed, Failure> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = async {
            self.out.write_all(&buffer).await?;
            self.out.flush().await
        };
        match written.await {
            Ok(()) => Ok(Printed::Written),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Printed::ReaderGone),
            Err(error) => Err(unwritable(&error)),
        }
    }
}

fn unwritable(error: &io::Error) -> Failure {
    Failure::new(format!("stdout cannot be written: {error}"))
}
