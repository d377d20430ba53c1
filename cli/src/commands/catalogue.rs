//! `anybroker catalogue FILE…`: who publishes and who consumes which event.

use std::path::{Path, PathBuf};

use anybroker::patterns::catalogue::{Catalogue, Finding};
use clap::ValueEnum;
use serde::Serialize;

use crate::failure::{Done, Failure};
use crate::output;

/// Arguments of `catalogue`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each file is a catalogue as a program has written it: JSON. All are put into one.

Exit codes:
  0  done
  1  there are warnings, with --deny-warnings
  2  a file cannot be read, or two say different things of the same

Examples:
  anybroker catalogue orders.json billing.json
  anybroker catalogue *.json --format asyncapi > asyncapi.json
  anybroker catalogue *.json --format dot | dot -Tsvg > shop.svg
  anybroker catalogue *.json --format json --deny-warnings")]
pub(crate) struct Args {
    /// The catalogues.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// What to print; all but the drawing for people say what is remarkable on stderr, or as JSON.
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// The version that an AsyncAPI document is to have.
    #[arg(long, default_value = "1.0.0", value_name = "VERSION")]
    api_version: String,
    /// The size in bytes from which a payload belongs into a claim check.
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 10)]
    claim_check: usize,
    /// Exit code 1 if there are warnings.
    #[arg(long)]
    deny_warnings: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A drawing for people, and what is remarkable.
    #[default]
    Text,
    /// An AsyncAPI 3.0 document.
    Asyncapi,
    /// A flowchart for Mermaid.
    Mermaid,
    /// A graph for Graphviz.
    Dot,
    /// What is remarkable, one object a line.
    Json,
}

/// The last line.
#[derive(Serialize)]
struct Summary {
    services: usize,
    warnings: usize,
    notes: usize,
}

pub(crate) fn run(args: Args) -> Result<Done, Failure> {
    let catalogue = read_all(&args.files)?;
    let findings = catalogue.findings_over(args.claim_check);
    let warnings = findings.iter().filter(|finding| finding.warning).count();
    let lines = findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n");
    match args.format {
        Form::Text => output::print(&format!("{}\n{lines}", catalogue.text()))?,
        Form::Json => {
            findings.iter().try_for_each(output::print_json)?;
            let notes = findings.len() - warnings;
            output::print_json(&Summary { services: catalogue.services.len(), warnings, notes })?;
        }
        drawing => {
            output::print(drawn(&catalogue, drawing, &args.api_version)?.trim_end())?;
            if !findings.is_empty() {
                output::note(&lines);
            }
        }
    }
    Ok(Done::if_holds(!args.deny_warnings || warnings == 0))
}

fn drawn(catalogue: &Catalogue, form: Form, version: &str) -> Result<String, Failure> {
    match form {
        Form::Dot => Ok(catalogue.dot()),
        Form::Mermaid => Ok(catalogue.mermaid()),
        _ => serde_json::to_string_pretty(&catalogue.asyncapi(version))
            .map_err(|e| Failure::new(e.to_string())),
    }
}

fn read_all(files: &[PathBuf]) -> Result<Catalogue, Failure> {
    let mut merged: Option<Catalogue> = None;
    for file in files {
        let next = read(file)?;
        merged = Some(match merged {
            None => next,
            Some(all) => {
                all.merge(next).map_err(|error| Failure::new(format!("{}: {error}", file.display())))?
            }
        });
    }
    merged.ok_or_else(|| Failure::new("no catalogue is named"))
}

fn read(file: &Path) -> Result<Catalogue, Failure> {
    let text = std::fs::read(file).map_err(|error| Failure::file(file, &error))?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::new(format!("{} is no catalogue: {error}", file.display())))
}
