//! What the last conformance run showed, from the reports that `cargo xtask conform` keeps in `docs/conformance`.

use std::path::Path;

use anybroker_conformance::report::{Document, day, markdown};
use anybroker_conformance::run::RunVerdict;

/// The kept reports; nothing where there are none.
fn kept(root: &Path) -> Option<Document> {
    let entries = std::fs::read_dir(root.join("docs/conformance")).ok()?;
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut document = Document::default();
    for path in files {
        let added = document.add(&std::fs::read_to_string(&path).unwrap());
        added.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    }
    (!document.runs.is_empty()).then_some(document)
}

/// The section of `docs/guarantees.md`.
pub(crate) fn section(root: &Path) -> String {
    kept(root).map_or(String::new(), |document| {
        format!(
            "\n## Last conformance run\n\nMade by `cargo xtask conform` on real brokers, from the reports in `docs/conformance`. \
             The number is how often a [property](properties.md) could have been broken; `–` is not promised. \
             [What the signs mean](conformance.md#what-the-verdicts-mean).\n\n{}",
            markdown(&document)
        )
    })
}

/// A line for the README.
pub(crate) fn in_short(root: &Path) -> String {
    let Some(document) = kept(root) else { return String::new() };
    let passed = document.runs.iter().filter(|run| run.verdict == RunVerdict::Pass).count();
    let last = document.runs.iter().map(|run| run.began).max().unwrap_or(0);
    format!(
        "\n[Last conformance run](docs/guarantees.md#last-conformance-run), {}: {passed} of {} configurations kept every promise, \
         each exercised often enough, under every fault that can be done to it.\n",
        day(last),
        document.runs.len()
    )
}
