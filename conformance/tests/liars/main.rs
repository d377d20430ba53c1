//! Brokers that lie must be named, each by the property that it breaks and nothing else; honest ones must not be accused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use anybroker_conformance::liars::{Options, Progress, Row, run};

struct Told;

impl Progress for Told {
    fn ended(&self, row: &Row, done: usize, of: usize) {
        let (verdict, name, cases) = (row.verdict.name(), &row.name, &row.cases);
        eprintln!("{done}/{of} {verdict} {name} ({}): {:?} in {cases:?}", row.root, row.shown);
    }

    fn believed(&self, name: &str, accused: Option<&str>) {
        eprintln!("honest {name}: {accused:?}");
    }
}

#[test]
fn every_liar_is_named_and_nobody_else_accused() {
    let only = std::env::var("ANYBROKER_LIARS").unwrap_or_default();
    let matrix = run(&Options { only, ..Options::default() }, &Told).unwrap();
    println!("{matrix}");
    assert!(matrix.holds(), "{matrix}");
}
