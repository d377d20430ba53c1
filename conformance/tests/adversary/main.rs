//! Two simulated brokers that do the worst that they may, which must never be accused; and what they recorded, changed
//! into what they may not do, which must be named by the right property and nothing outside its consequences.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may end where it goes wrong")]

mod dice;
mod log;
mod log_changes;
mod mutants;
mod queue;
mod queue_changes;
mod seen;

use anybroker_conformance::history::Sketch;
use anybroker_conformance::properties::{Property, Report, Verdict, check};
use proptest::prelude::*;

fn report(sketch: &Sketch) -> Report {
    check(&sketch.read().unwrap())
}

/// The properties that a history violates, or in which it stalls.
fn broken(sketch: &Sketch) -> Vec<Property> {
    let report = report(sketch);
    let bad = report.properties.iter().filter(|(_, finding)| !finding.violations.is_empty());
    bad.map(|(property, _)| *property).collect()
}

/// Everything that was promised held, and a drained history leaves nothing open.
fn legal(sketch: &Sketch) -> Result<(), TestCaseError> {
    let report = report(sketch);
    let fine = matches!(report.verdict, Verdict::Pass);
    prop_assert!(fine, "{}\n{}", report, String::from_utf8_lossy(&sketch.bytes()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn a_legal_log_is_never_accused(seed: u64, steps in 0..300_usize) {
        legal(&log::history(seed, steps))?;
    }

    #[test]
    fn a_legal_queue_is_never_accused(seed: u64, steps in 0..300_usize) {
        legal(&queue::history(seed, steps))?;
    }

    #[test]
    fn a_mutant_is_named_and_nothing_else(seed: u64, steps in 100..300_usize, which: prop::sample::Index) {
        let mutant = &mutants::ALL[which.index(mutants::ALL.len())];
        mutants::is_named(mutant, seed, steps)?;
    }
}

#[test]
fn every_mutant_is_found_in_some_history() {
    for mutant in mutants::ALL {
        let results: Vec<_> = (0..60).map(|seed| (seed, mutants::is_named(mutant, seed, 200))).collect();
        let wrong = results.iter().find(|(_, result)| result.is_err());
        assert!(wrong.is_none(), "{} with {wrong:?}", mutant.name);
        let applied = results.iter().filter(|(_, result)| matches!(result, Ok(true))).count();
        assert!(applied >= 5, "{} applied {applied} times", mutant.name);
    }
}

#[test]
fn legal_histories_try_every_promise() {
    for history in [log::history, queue::history] {
        let sketches: Vec<_> = (0..30).map(|seed| history(seed, 300)).collect();
        let mut tried = std::collections::BTreeMap::new();
        for sketch in &sketches {
            for (property, finding) in report(sketch).properties {
                if finding.verdict != Verdict::NotPromised {
                    *tried.entry(property).or_insert(0) += finding.opportunities;
                }
            }
        }
        assert!(tried.values().all(|count| *count >= 30), "{tried:?}");
    }
}
