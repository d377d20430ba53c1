//! `anybroker check FILE`: holds a recorded history to what it promises.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anybroker_conformance::history;
use anybroker_conformance::properties::{self, Finding, Property, Report, Verdict};

use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output;
use crate::progress;

/// Violations of one property that are shown to a person.
const SHOWN: usize = 5;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  no promise was broken
  1  one was broken, or messages stalled; with --strict also if one could not be proved
  2  the file cannot be read as a history; the error names the line

Examples:
  anybroker check run.jsonl
  anybroker check run.jsonl --format json --strict")]
pub(crate) struct Args {
    /// A history of the format anybroker/1; `-` is stdin.
    file: PathBuf,
    /// Also fail if a promise could not be proved: inconclusive, not exercised, or not implemented.
    #[arg(long)]
    strict: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: Args) -> Result<Done, Failure> {
    let history = history::read(open(&args.file)?)
        .map_err(|e| Failure::new(format!("{} is no history: {e}", args.file.display())))?;
    let report = properties::check(&history);
    match args.format {
        Format::Json => output::print_json(&report)?,
        Format::Human => output::print(&text(&report))?,
    }
    Ok(Done::if_holds(report.exit_code(args.strict) == 0))
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let fail = |error: io::Error| Failure::file(path, &error);
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    let bar = progress::bytes(metadata.is_file().then_some(metadata.len()), false);
    bar.set_message("reading");
    Ok(Box::new(BufReader::with_capacity(256 << 10, bar.wrap_read(file))))
}

fn text(report: &Report) -> String {
    let mut table = output::table(&["property", "verdict", "opportunities", "violations", "why"]);
    let promised = report.properties.iter().filter(|(_, f)| f.verdict != Verdict::NotPromised);
    for (property, finding) in promised {
        table.add_row([
            format!("{property} {}", property.words()),
            words(finding.verdict),
            finding.opportunities.to_string(),
            finding.violation_count().to_string(),
            finding.reason.clone().unwrap_or_default(),
        ]);
    }
    let mut text = table.to_string();
    for (property, finding) in &report.properties {
        violations(&mut text, *property, finding);
    }
    text.push_str(&format!("\nverdict: {}", words(report.verdict)));
    text
}

/// A verdict's name as a person writes it.
fn words(verdict: Verdict) -> String {
    verdict.name().replace('_', " ")
}

fn violations(text: &mut String, property: Property, finding: &Finding) {
    for violation in finding.violations.iter().take(SHOWN) {
        text.push_str(&format!("\n\n{property}: {}", violation.explanation));
        for step in &violation.timeline {
            text.push_str(&format!(
                "\n  line {:>6}  {:>12.6} s  {}",
                step.line,
                step.time as f64 / 1e9,
                step.text
            ));
        }
    }
    let more = finding.violation_count().saturating_sub(SHOWN as u64);
    if more > 0 {
        text.push_str(&format!("\n\n{property}: and {more} more violations"));
    }
}
