//! `cargo xtask conform`: every configuration on the real brokers, and what of it is kept in the repository.

use std::path::{Path, PathBuf};

use anybroker_conformance::report::{self, Document};
use anybroker_conformance::run::{RunReport, RunVerdict};

/// Where the suite leaves its reports, and where the page made of them is.
pub(crate) fn reports() -> PathBuf {
    root().join("target/conformance")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Makes one page and one JUnit file of the reports of this run, and keeps what does not depend on the machine in
/// `docs/conformance`.
pub(crate) fn keep() -> Result<String, String> {
    let mut document = Document::default();
    for path in json(&reports())? {
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        document.add(&text).map_err(|why| format!("{}: {why}", path.display()))?;
    }
    write(&reports().join("index.html"), &report::html(&document))?;
    write(&reports().join("junit.xml"), &report::junit(&document))?;
    // What was left out by name has nothing to say, and the in-memory broker in the place of another says nothing of that.
    let real = |run: &&RunReport| run.verdict != RunVerdict::NotRun && !run.url.contains("like=");
    document.runs.iter().filter(real).try_for_each(keep_one)?;
    Ok(format!("{} reports; {}", document.runs.len(), reports().join("index.html").display()))
}

fn keep_one(run: &RunReport) -> Result<(), String> {
    let mut run = run.clone();
    // Ports, files and times are this machine's.
    run.url.truncate(run.url.find("://").map_or(0, |at| at + 3));
    run.cases.iter_mut().for_each(|case| case.seconds = 0.0);
    let text = serde_json::to_string_pretty(&run).map_err(|e| e.to_string())?;
    write(&root().join("docs/conformance").join(format!("{}.json", run.configuration)), &format!("{text}\n"))
}

/// The reports in a folder, by name.
fn json(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    Ok(files)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.and_then(|()| std::fs::write(path, text)).map_err(|e| format!("{}: {e}", path.display()))
}
