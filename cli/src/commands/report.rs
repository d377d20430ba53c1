//! `anybroker report FILE…`: several runs in one report.

use std::path::PathBuf;

use anybroker_conformance::report::Document;

use super::conform::Outputs;
use crate::args::Format;
use crate::failure::{Done, Failure};

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  every run passed, and every liar was named
  1  one did not
  2  a file is no report

Of two runs of one configuration the later file counts.

Examples:
  anybroker report kafka.json nats.json --html all.html --junit all.xml
  anybroker report liars.json memory.json --markdown -")]
pub(crate) struct Args {
    /// What `anybroker conform --json FILE` wrote.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: Args) -> Result<Done, Failure> {
    let mut document = Document::default();
    for path in &args.files {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
        document.add(&text).map_err(|why| Failure::new(format!("{}: {why}", path.display())))?;
    }
    args.outputs.check()?;
    args.outputs.write(&document)?;
    args.outputs.print(&document, args.format)?;
    Ok(Done::if_holds(document.holds()))
}
