//! The forms in which a report is written.

use std::path::{Path, PathBuf};

use anybroker_conformance::liars::KillMatrix;
use anybroker_conformance::report::{self, Document};
use anybroker_conformance::run::RunReport;
use serde::Serialize;

use crate::args::Format;
use crate::failure::Failure;
use crate::output;

/// Where a report is written, in which form.
#[derive(Debug, clap::Args)]
pub(crate) struct Outputs {
    /// Write it as JSON, which `anybroker report` reads; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write it as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write it as one HTML page, which loads nothing.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write it as Markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// Makes one of the forms.
type Form = fn(&Document) -> String;

impl Outputs {
    fn all(&self) -> [(&Option<PathBuf>, Form); 4] {
        [
            (&self.json, json),
            (&self.junit, report::junit),
            (&self.html, report::html),
            (&self.markdown, report::markdown),
        ]
    }

    /// Sees, before what takes long, that the files can be written.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let files = self.all().into_iter().filter_map(|(path, _)| path.as_deref());
        files.filter(|path| !is_stdout(path)).try_for_each(|path| {
            let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
            opened.map(|_| ()).map_err(|error| Failure::file(path, &error))
        })
    }

    pub(crate) fn write(&self, document: &Document) -> Result<(), Failure> {
        for (path, form) in self.all() {
            match path {
                Some(path) if is_stdout(path) => output::print(&form(document))?,
                Some(path) => {
                    std::fs::write(path, form(document)).map_err(|error| Failure::file(path, &error))?;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Prints it, unless one of its forms was already.
    pub(crate) fn print(&self, document: &Document, format: Format) -> Result<(), Failure> {
        if self.all().into_iter().any(|(path, _)| path.as_deref().is_some_and(is_stdout)) {
            return Ok(());
        }
        match format {
            Format::Json => output::print_json(&Json::from(document)),
            Format::Human => output::print(&report::terminal(document)),
        }
    }
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// The document as JSON: one run is its report, several are a list of them.
#[derive(Serialize)]
#[serde(untagged)]
enum Json<'a> {
    Run(&'a RunReport),
    Liars(&'a KillMatrix),
    All(&'a Document),
}

impl<'a> From<&'a Document> for Json<'a> {
    fn from(document: &'a Document) -> Self {
        match (document.runs.as_slice(), &document.liars) {
            ([run], None) => Json::Run(run),
            ([], Some(liars)) => Json::Liars(liars),
            _ => Json::All(document),
        }
    }
}

fn json(document: &Document) -> String {
    serde_json::to_string_pretty(&Json::from(document)).unwrap_or_default()
}
