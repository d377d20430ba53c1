//! A document as text for a terminal.

use std::fmt::Write as _;

use super::{Document, backend, grouped, words};
use crate::run::{CaseVerdict, IN_FLIGHT, RunReport, ViolationReport};

/// A table for each run, what was not proved, and each violation line by line.
pub fn terminal(document: &Document) -> String {
    let mut text = String::new();
    for run in &document.runs {
        one(&mut text, run);
        text.push('\n');
    }
    if let Some(liars) = &document.liars {
        let (named, of, honest) = (liars.named, liars.liars, liars.controls.len());
        let accused = liars.falsely_accused.len();
        let _ = writeln!(text, "{named} of {of} liars named; {accused} of {honest} honest brokers accused");
        for (what, names) in [("missed", &liars.missed), ("misnamed", &liars.misnamed)] {
            names.iter().for_each(|name| _ = writeln!(text, "  {what}: {name}"));
        }
    }
    text.truncate(text.trim_end().len());
    // What others wrote must not steer the terminal.
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn one(text: &mut String, run: &RunReport) {
    let (faults, seed) = (&run.faults_allowed, run.seed);
    let _ = writeln!(text, "{}: {}, faults {faults}, seed {seed}", run.configuration, backend(run));
    let _ = writeln!(
        text,
        "{:<5} {:<36} {:<15} {:>13}  {:>7}",
        "", "property", "verdict", "opportunities", "least"
    );
    for (property, found) in &run.properties {
        let (verdict, words_of) = (words(found.verdict.name()), property.words());
        let (opportunities, least) = (grouped(found.opportunities), grouped(found.minimum));
        let _ = writeln!(text, "{property:<5} {words_of:<36} {verdict:<15} {opportunities:>13}  {least:>7}");
    }
    for (property, found) in &run.properties {
        if let Some(reason) = &found.reason {
            let _ = writeln!(text, "{property} {}: {reason}", words(found.verdict.name()));
        }
        found.violations.iter().for_each(|violation| counterexample(text, property.name(), violation));
    }
    let _ = writeln!(text, "{}", seen(run));
    for case in &run.cases {
        let seconds = case.seconds;
        match case.verdict {
            CaseVerdict::Holds => {}
            verdict => {
                let _ = writeln!(
                    text,
                    "{}: {} ({seconds:.1} s): {}",
                    words(verdict.name()),
                    case.name,
                    case.text
                );
            }
        }
    }
    run.unmet.iter().for_each(|unmet| _ = writeln!(text, "not proved: {unmet}"));
    let _ = writeln!(text, "verdict: {}", words(run.verdict.name()));
}

/// Faults with what they found in flight, and what else was seen.
pub(super) fn seen(run: &RunReport) -> String {
    let faults: Vec<_> = run.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let faults = if faults.is_empty() { "none".to_owned() } else { faults.join(", ") };
    let breaking = || run.fault_list.iter().filter(|fault| fault.breaks());
    let found = breaking().filter(|fault| fault.in_flight >= IN_FLIGHT).count();
    let of = breaking().count();
    format!(
        "{} published ({} unknown), {} delivered ({} redeliveries); faults: {faults}; {found} of {of} that break found at \
         least {IN_FLIGHT} messages in flight",
        grouped(run.published),
        grouped(run.unknown_publishes),
        grouped(run.delivered),
        grouped(run.redeliveries),
    )
}

fn counterexample(text: &mut String, property: &str, violation: &ViolationReport) {
    let _ = writeln!(text, "\n{property} violated in {}: {}", violation.case, violation.explanation);
    for step in &violation.timeline {
        let _ = writeln!(text, "  line {:>6}  {:>12.6} s  {}", step.line, step.time as f64 / 1e9, step.text);
    }
    text.push('\n');
}
