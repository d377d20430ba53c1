//! What was found, printed as it is found.

use std::io;
use std::time::Duration;

use anybroker::{Diagnosis, Error, Finding};
use serde::Serialize;

use crate::args::Format;
use crate::failure::Failure;
use crate::output;

/// A finding as JSON.
#[derive(Serialize)]
struct Line<'a> {
    subject: &'a str,
    finding: &'static str,
    text: &'a str,
    advice: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(found: &'a Diagnosis) -> Self {
        let (finding, advice) = (found.finding.as_str(), found.advice.as_deref());
        Line { subject: found.subject, finding, text: &found.text, advice }
    }
}

/// The last line as JSON.
#[derive(Serialize)]
struct Summary<'a> {
    fine: usize,
    unknown: usize,
    warnings: usize,
    failures: usize,
    first_failure: Option<Line<'a>>,
}

/// What has been found so far.
pub(super) struct Report {
    format: Format,
    found: Vec<Diagnosis>,
}

impl Report {
    pub(super) fn new(format: Format) -> Self {
        Report { format, found: Vec::new() }
    }

    /// Adds a finding and prints it.
    pub(super) fn add(&mut self, found: Diagnosis) -> Result<(), Failure> {
        match self.format {
            Format::Json => output::print_json(&Line::of(&found))?,
            Format::Human => output::print(&human(&found))?,
        }
        self.found.push(found);
        Ok(())
    }

    /// Adds that a step failed.
    pub(super) fn fail(&mut self, subject: &'static str, error: &Error) -> Result<(), Failure> {
        self.add(Diagnosis::new(subject, Finding::Failure, error.to_string()))
    }

    /// Whether something was said of the subject.
    pub(super) fn speaks_of(&self, subject: &str) -> bool {
        self.found.iter().any(|found| found.subject == subject)
    }

    /// Prints the summary.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        let summary = Summary {
            fine: self.count(Finding::Fine),
            unknown: self.count(Finding::Unknown),
            warnings: self.count(Finding::Warning),
            failures: self.count(Finding::Failure),
            first_failure: self.first_failure().map(Line::of),
        };
        match self.format {
            Format::Json => output::print_json(&summary),
            Format::Human => output::print(&format!("\n{}", self.conclusion(&summary))),
        }
    }

    fn conclusion(&self, summary: &Summary<'_>) -> String {
        let Some(first) = self.first_failure() else {
            let Summary { fine, unknown, warnings, .. } = summary;
            return format!("nothing fails: {fine} fine, {unknown} unknown, {warnings} to be changed");
        };
        let advice = first.advice.as_ref().map_or_else(String::new, |advice| format!(" -> {advice}"));
        format!("first to fail: {}: {}{advice}", first.subject, first.text)
    }

    fn first_failure(&self) -> Option<&Diagnosis> {
        self.found.iter().find(|found| found.finding == Finding::Failure)
    }

    fn count(&self, finding: Finding) -> usize {
        self.found.iter().filter(|found| found.finding == finding).count()
    }

    /// Whether nothing fails; `strict`: nor is to be changed.
    pub(super) fn holds(&self, strict: bool) -> bool {
        let bound = if strict { Finding::Warning } else { Finding::Failure };
        self.found.iter().all(|found| found.finding < bound)
    }
}

fn human(found: &Diagnosis) -> String {
    let word = found.finding.as_str();
    let colour = match found.finding {
        Finding::Fine => "32",
        Finding::Unknown => "2",
        Finding::Warning => "33",
        Finding::Failure => "1;31",
    };
    let word = match output::colour(&io::stdout()) {
        true => format!("\x1b[{colour}m{word:<8}\x1b[0m"),
        false => format!("{word:<8}"),
    };
    let line = format!("{word} {}: {}", found.subject, found.text);
    match &found.advice {
        Some(advice) => format!("{line}\n         -> {advice}"),
        None => line,
    }
}

/// A time as people read it.
pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}
