//! What every case found, printed at the end: nothing is skipped silently.

use std::collections::BTreeMap;
use std::sync::Mutex;

static FINDINGS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

pub(crate) fn add(name: &str, finding: String) {
    FINDINGS.lock().unwrap().insert(name.to_owned(), finding);
}

pub(crate) fn print() {
    let findings = FINDINGS.lock().unwrap();
    let count = |kind: &str| findings.values().filter(|f| f.starts_with(kind)).count();
    println!("findings:");
    findings.iter().for_each(|(name, finding)| println!("  {name}: {finding}"));
    let (holds, not_promised) = (count("holds"), count("not promised"));
    let (not_applicable, not_run) = (count("not applicable"), count("not run"));
    println!(
        "{holds} hold, {not_promised} not promised by the backend's guarantees, {not_applicable} not applicable, \
         {not_run} excluded by name"
    );
}
