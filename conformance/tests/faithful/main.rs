//! The simulation `memory://?like=…` against the real brokers: questions about what is characteristic of a broker must be
//! answered alike, and the same random workloads must show nothing that the simulation never does.
//! The decision is `docs/decisions/0028-simulations-are-held-to-the-real-brokers.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod ask;
mod characteristics;
mod differences;
mod document;
mod kinds;
#[path = "../targets/mod.rs"]
mod reached;
mod scene;
mod workloads;

use std::process::ExitCode;
use std::sync::Arc;

use anybroker_conformance::subject::member;
use ask::Answers;
use libtest_mimic::{Arguments, Trial};

/// Questions wait for brokers more than they work.
const THREADS: usize = 8;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let opens =
        |name: &str| kinds::all().into_iter().find(|pair| pair.name == name).map(|pair| pair.real.open);
    if let Some(ended) = member(opens) {
        return ended;
    }
    let pairs = kinds::all();
    let answers = Arc::new(Answers::default());
    let mut trials = Vec::new();
    for characteristic in characteristics::ALL {
        for pair in &pairs {
            let (pair, answers) = (pair.clone(), answers.clone());
            let name = format!("{}::{}", pair.name, characteristic.name);
            trials.push(Trial::test(name, move || Ok(ask::both(&pair, characteristic, &answers)?)));
        }
    }
    // Whoever writes the document only asks.
    let compared = if document::is_written() { &[] } else { pairs.as_slice() };
    for pair in compared {
        let (pair, name) = (pair.clone(), format!("{}::workloads", pair.name));
        trials.push(Trial::test(name, move || Ok(workloads::compare(&pair)?)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    if conclusion.has_failed() {
        return ExitCode::FAILURE;
    }
    match document::up_to_date(&pairs, &answers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
