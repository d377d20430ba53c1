//! The whole suite as one test program: every case of every configuration is a test of its own.
//!
//! In `Cargo.toml` the test has `harness = false`, and its file is:
//!
//! ```no_run
//! use anybroker_conformance::subject::Subject;
//! # use anybroker_memory as own;
//!
//! fn main() -> std::process::ExitCode {
//!     let own = Subject::new("own", "memory://test?topology=check", |url| async move { own::connect(&url.parse()?).await });
//!     anybroker_conformance::suite(vec![own])
//! }
//! ```

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::cases::{CASES, Case, DISTURBING};
use crate::run::{self, CaseReport, CaseVerdict, Evidence, Options, RunReport, RunVerdict};
use crate::subject::{Subject, member};

/// The directory in which the suite leaves its reports, `NAME.json` for each configuration.
pub const REPORTS: &str = "ANYBROKER_CONFORMANCE_REPORTS";

/// How many cases run at a time, unless `--test-threads` says otherwise.
const THREADS: usize = 6;

/// A subject with the evidence of its cases.
struct Tested {
    subject: Subject,
    evidence: Evidence,
}

/// Runs every case on every subject with the arguments of `cargo test`, each as a test of its own, then prints what each
/// case found and whether every promise was exercised. `ANYBROKER_SEED` repeats a run's random choices.
///
/// The exit code is 0 if all tests passed and, where all of a subject's cases ran, every promised property was exercised
/// and held.
pub fn suite(subjects: Vec<Subject>) -> ExitCode {
    let opens = |name: &str| subjects.iter().find(|subject| subject.name == name).map(|it| it.open.clone());
    if let Some(ended) = member(opens) {
        return ended;
    }
    let mut arguments = Arguments::from_args();
    // Cases wait for brokers more than they work.
    arguments.test_threads.get_or_insert(THREADS);
    let tested = |subject| Arc::new(Tested { subject, evidence: Evidence::default() });
    let all: Vec<_> = subjects.into_iter().map(tested).collect();
    let options = Options { seed: seed(), ..Options::default() };
    let of = |tested: &Arc<Tested>, case: &Case| {
        tested.subject.runs(case).then(|| trial(tested.clone(), *case, options))
    };
    // By case, so that those that run at a time are on different brokers, and wait for no turn on the same one.
    let of = &of;
    let cases = CASES.iter().chain(DISTURBING);
    let trials = cases.flat_map(|case| all.iter().filter_map(move |tested| of(tested, case)));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    let unproved = all.iter().filter(|tested| !tell(tested, &options)).count();
    if conclusion.has_failed() || unproved > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn trial(tested: Arc<Tested>, case: Case, options: Options) -> Trial {
    Trial::test(format!("{}::{}", tested.subject.name, case.name), move || {
        let turn = tested.subject.turn(case.disturbs);
        let report = block_on(run::run_case(&tested.subject, &case, &options, &tested.evidence))?;
        drop(turn);
        let failure = (report.verdict == CaseVerdict::Failed)
            .then(|| Failed::from(format!("with seed {}: {}", report.seed, report.text)));
        tested.evidence.case(report);
        failure.map_or(Ok(()), Err)
    })
}

/// Runs a future on a runtime of its own, whose end waits for nothing that it left behind.
fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(result)
}

fn seed() -> u64 {
    let given = std::env::var("ANYBROKER_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| Options::default().seed)
}

/// Prints what a subject's cases found; says whether they prove it.
fn tell(tested: &Tested, options: &Options) -> bool {
    let Ok(report) = block_on(tested.evidence.report(&tested.subject, options)) else { return false };
    if report.cases.is_empty() {
        return true;
    }
    println!("{}: {}", report.configuration, counts(&report.cases));
    report.cases.iter().for_each(|case| {
        println!("  {} {}: {} ({:.1} s)", case.verdict.name(), case.name, case.text, case.seconds);
    });
    let all = CASES.iter().chain(DISTURBING).filter(|case| tested.subject.runs(case)).count();
    if report.cases.len() < all || !tested.subject.only.is_empty() {
        return true;
    }
    keep(&report);
    println!("  {}", report.verdict.name());
    report.unmet.iter().for_each(|unmet| println!("    {unmet}"));
    for (property, found) in &report.properties {
        found.reason.iter().for_each(|why| println!("    {property} {}: {why}", found.verdict.name()));
    }
    matches!(report.verdict, RunVerdict::Pass | RunVerdict::NotRun)
}

fn counts(cases: &[CaseReport]) -> String {
    let mut counts = BTreeMap::<_, usize>::new();
    cases.iter().for_each(|case| *counts.entry(case.verdict.name()).or_default() += 1);
    let counts: Vec<_> = counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    counts.join(", ")
}

fn keep(report: &RunReport) {
    let Some(directory) = std::env::var_os(REPORTS) else { return };
    let path = std::path::Path::new(&directory).join(format!("{}.json", report.configuration));
    let kept = std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(&path, serde_json::to_vec_pretty(report).unwrap_or_default()));
    if let Err(error) = kept {
        eprintln!("{}: {error}", path.display());
    }
}
