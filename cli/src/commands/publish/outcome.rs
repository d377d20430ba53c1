//! Counts and prints what became of the messages.

use anybroker::{Error, Fate, Kind, MessageId, Outcome, Position};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output::{self, Lines, Place, Printed};
use anybroker::worker::Signals;

/// Failures that are explained one by one.
const EXPLAINED: u64 = 10;

/// The counts, and where they are shown.
pub(super) struct Tally {
    format: Format,
    lines: Lines,
    reader_gone: bool,
    bar: ProgressBar,
    ok: u64,
    failed: u64,
    unknown: u64,
    duplicates: u64,
    held: u64,
    explained: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    id: Option<String>,
    outcome: &'a str,
    position: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Tally {
    pub(super) fn new(format: Format, bar: ProgressBar) -> Self {
        let (lines, reader_gone) = (Lines::new(), false);
        let (ok, failed, unknown, duplicates, held, explained) = (0, 0, 0, 0, 0, 0);
        Tally { format, lines, reader_gone, bar, ok, failed, unknown, duplicates, held, explained }
    }

    /// The outcome of the message on line `number`.
    pub(super) fn outcome(&mut self, number: u64, id: &MessageId, outcome: &Outcome) -> Result<(), Failure> {
        match outcome {
            Ok(receipt) => {
                self.ok += 1;
                self.duplicates += u64::from(receipt.duplicate);
                self.print(Some(id), "ok", receipt.position, None)
            }
            Err(failure) => self.failure(number, id, failure.error()),
        }
    }

    fn failure(&mut self, number: u64, id: &MessageId, error: &Error) -> Result<(), Failure> {
        let outcome = match error.fate() {
            Fate::NotApplied => "failed",
            Fate::Unknown => "unknown",
        };
        match error.fate() {
            Fate::NotApplied => self.failed += 1,
            Fate::Unknown => self.unknown += 1,
        }
        let text = error.to_string();
        match error.kind() {
            Kind::KeyHeld => self.held += 1,
            _ => self.explain(number, &text),
        }
        self.print(Some(id), outcome, None, Some((number, &text)))
    }

    /// A line that is no message.
    pub(super) fn bad_line(&mut self, number: u64, reason: &str) -> Result<(), Failure> {
        self.failed += 1;
        self.explain(number, reason);
        self.print(None, "failed", None, Some((number, reason)))
    }

    /// A message whose outcome nobody waited for.
    pub(super) fn given_up(&mut self, number: u64, id: &MessageId) -> Result<(), Failure> {
        self.unknown += 1;
        self.print(Some(id), "unknown", None, Some((number, "interrupted before the broker answered")))
    }

    fn explain(&mut self, number: u64, reason: &str) {
        self.explained += 1;
        if self.explained <= EXPLAINED {
            self.note(&format!("line {number}: {reason}"));
        }
    }

    /// Says something above the progress bar.
    pub(super) fn note(&self, text: &str) {
        self.bar.suspend(|| output::note(text));
    }

    fn print(
        &mut self,
        id: Option<&MessageId>,
        outcome: &str,
        position: Option<Position>,
        error: Option<(u64, &str)>,
    ) -> Result<(), Failure> {
        if self.format == Format::Human || self.reader_gone {
            return Ok(());
        }
        let position = position.map(Place::from);
        let (line, error) = error.unzip();
        self.lines.json(&Line { id: id.map(MessageId::to_string), outcome, position, line, error })
    }

    /// Writes what has been printed so far; says whether a signal came meanwhile.
    pub(super) async fn flush(&mut self, bytes: u64, signals: &mut Signals) -> Result<bool, Failure> {
        self.bar.inc(bytes);
        self.bar.set_message(format!("{} messages", self.published()));
        let (printed, interrupted) = self.lines.flush_or_stop(signals).await?;
        self.reader_gone |= printed == Printed::ReaderGone;
        Ok(interrupted)
    }

    /// Prints the summary.
    pub(super) async fn finish(&mut self, signals: &mut Signals) -> Result<Done, Failure> {
        self.bar.finish_and_clear();
        if self.explained > EXPLAINED {
            output::note(&format!("and {} more lines are not ok", self.explained - EXPLAINED));
        }
        if self.held > 0 {
            output::note(&format!(
                "{} messages were not sent, because an earlier message of their key failed: publish them again after it",
                self.held
            ));
        }
        let (published, ok, failed, unknown) = (self.published(), self.ok, self.failed, self.unknown);
        match self.format {
            Format::Json => {
                let summary = Summary { published, ok, failed, unknown };
                self.lines.json(&summary)?;
            }
            Format::Human => {
                let duplicates = match self.duplicates {
                    0 => String::new(),
                    n => format!(" ({n} of them stored before)"),
                };
                self.lines.text(&format!(
                    "published {published}: {ok} ok{duplicates}, {failed} failed, {unknown} unknown"
                ));
            }
        }
        if !self.reader_gone {
            self.lines.flush_or_stop(signals).await?;
        }
        Ok(Done::if_holds(failed == 0 && unknown == 0))
    }

    fn published(&self) -> u64 {
        self.ok + self.failed + self.unknown
    }
}

#[derive(Serialize)]
struct Summary {
    published: u64,
    ok: u64,
    failed: u64,
    unknown: u64,
}
