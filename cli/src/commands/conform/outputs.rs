//! Files that a report is written to.

use std::path::{Path, PathBuf};

use anybroker_conformance::run::RunReport;

use crate::failure::Failure;
use crate::output;

/// Where reports are written.
#[derive(Debug, clap::Args)]
pub(crate) struct Outputs {
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Outputs {
    /// Sees before a long run that the files can be written.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let files = [&self.json];
        files.into_iter().flatten().try_for_each(|path| {
            let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
            opened.map(|_| ()).map_err(|error| Failure::file(path, &error))
        })
    }

    pub(crate) fn write(&self, report: &RunReport) -> Result<(), Failure> {
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(report).map_err(|e| Failure::new(e.to_string()))?;
            write(path, &text)?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::file(path, &error))
}

/// The report for a person.
pub(crate) fn table(report: &RunReport) -> String {
    let mut table = output::table(&["property", "verdict", "opportunities", "least", "why"]);
    for (property, found) in &report.properties {
        table.add_row([
            format!("{property} {}", property.words()),
            found.verdict.name().replace('_', " "),
            found.opportunities.to_string(),
            found.minimum.to_string(),
            found.reason.clone().unwrap_or_default(),
        ]);
    }
    let mut text = table.to_string();
    for unmet in &report.unmet {
        text.push_str(&format!("\n{unmet}"));
    }
    text.push_str(&format!("\nverdict: {}", report.verdict.name().replace('_', " ")));
    text
}
