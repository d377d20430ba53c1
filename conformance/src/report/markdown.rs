//! A document as Markdown: the matrix of backends and properties, what was done to each, and what was broken.

use std::fmt::Write as _;

use super::escape::Cell;
use super::{Document, backend, date, grouped, sign, words};
use crate::properties::Property;
use crate::run::{IN_FLIGHT, RunReport};

/// The Markdown. It says nothing of the machine: no ports, no times but the day.
pub fn markdown(document: &Document) -> String {
    let mut text = String::new();
    if !document.runs.is_empty() {
        matrix(&mut text, document);
        text.push('\n');
        runs(&mut text, &document.runs);
    }
    document.runs.iter().for_each(|run| broken(&mut text, run));
    if let Some(liars) = &document.liars {
        let (named, of, honest) = (liars.named, liars.liars, liars.controls.len());
        let accused = liars.falsely_accused.len();
        let _ = writeln!(
            text,
            "\nOf {of} brokers that are broken on purpose, {named} were named by their root; of {honest} honest ones beside \
             them, {accused} were accused."
        );
    }
    text
}

fn matrix(text: &mut String, document: &Document) {
    text.push_str("| property |");
    document.runs.iter().for_each(|run| _ = write!(text, " {} |", Cell(&run.configuration)));
    text.push_str("\n|---|");
    document.runs.iter().for_each(|_| text.push_str("--:|"));
    text.push('\n');
    for property in document.promised() {
        let _ = write!(text, "| {property} {} |", property.words());
        document.runs.iter().for_each(|run| _ = write!(text, " {} |", cell(run, property)));
        text.push('\n');
    }
    text.push_str("| **verdict** |");
    document.runs.iter().for_each(|run| _ = write!(text, " **{}** |", words(run.verdict.name())));
    text.push('\n');
}

fn cell(run: &RunReport, property: Property) -> String {
    run.properties.get(&property).map_or("–".to_owned(), |found| {
        match (sign(found.verdict), found.opportunities) {
            ("n/a", _) => "n/a".to_owned(),
            (sign, opportunities) => format!("{sign} {}", grouped(opportunities)),
        }
    })
}

fn runs(text: &mut String, runs: &[RunReport]) {
    text.push_str(
        "| configuration | backend | day | faults allowed | faults injected | redeliveries | unknown publishes | seed |\n\
         |---|---|---|---|---|--:|--:|--:|\n",
    );
    for run in runs {
        let found =
            run.fault_list.iter().filter(|fault| fault.breaks() && fault.in_flight >= IN_FLIGHT).count();
        let faults: Vec<_> = run.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let faults = match faults.is_empty() {
            true => "none".to_owned(),
            false => format!("{} ({found} found {IN_FLIGHT} messages or more in flight)", faults.join(", ")),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            Cell(&run.configuration),
            Cell(&backend(run)),
            date::day(run.began),
            Cell(&run.faults_allowed),
            Cell(&faults),
            grouped(run.redeliveries),
            grouped(run.unknown_publishes),
            run.seed,
        );
    }
}

/// What was broken or not proved in a run.
fn broken(text: &mut String, run: &RunReport) {
    let name = Cell(&run.configuration);
    for (property, found) in &run.properties {
        if let Some(reason) = &found.reason {
            let _ = writeln!(text, "\n{name}, {property} {}: {}", words(found.verdict.name()), Cell(reason));
        }
        for violation in &found.violations {
            let (case, explanation) = (Cell(&violation.case), Cell(&violation.explanation));
            let _ = writeln!(text, "\n**{name}, {property} violated** in {case}: {explanation}");
        }
    }
    for unmet in &run.unmet {
        let _ = writeln!(text, "\n{name}, not proved: {}", Cell(unmet));
    }
}
