//! `anybroker conform --liars`: whether the suite notices brokers that are broken on purpose.

use anybroker_conformance::liars::{self, Options, Progress, Row};
use anybroker_conformance::report::Document;

use super::Args;
use crate::failure::{Done, Failure};
use crate::output;

/// Runs the suite on every liar, and on honest brokers beside them.
pub(super) async fn run(args: &Args) -> Result<Done, Failure> {
    let options = Options::default();
    let options = Options { seed: args.seed.unwrap_or(options.seed), ..options };
    // It has threads and runtimes of its own. A signal ends the process: there is nothing to bring back.
    let run = tokio::task::spawn_blocking(move || liars::run(&options, &Lines));
    let failed = |why: String| Failure::new(format!("the liars could not be run: {why}"));
    let matrix = run.await.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
    let document = Document { runs: Vec::new(), liars: Some(matrix) };
    args.outputs.write(&document)?;
    args.outputs.print(&document, args.format)?;
    Ok(Done::if_holds(document.holds()))
}

/// A line for each.
struct Lines;

impl Progress for Lines {
    fn ended(&self, row: &Row, done: usize, of: usize) {
        output::note(&format!("[{done}/{of}] {}: {}", row.verdict.name(), row.name));
    }

    fn believed(&self, name: &str, accused: Option<&str>) {
        match accused {
            None => output::note(&format!("believed: {name}")),
            Some(why) => output::note(&format!("falsely accused: {name}: {why}")),
        }
    }
}
