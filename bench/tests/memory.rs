//! A bounded run on the broker in the process. It asserts what was counted, and no time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and so do their helpers")]

use std::process::{Command, Output};

use anybroker_bench::contender::Kind;
use anybroker_bench::report::Report;
use anybroker_bench::task::Operation;

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anybroker-bench"));
    command.env_remove("ANYBROKER_URL").args(arguments).output().unwrap()
}

#[test]
fn every_contender_does_every_operation_in_every_round() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let ran = bench(&[
        "memory://bench",
        "--size",
        "128",
        "--rounds",
        "2",
        "--messages",
        "3000",
        "--operation",
        "publish,consume,through,latency",
        "--seconds",
        "1",
        "--format",
        "json",
        "--html",
        page.to_str().unwrap(),
    ]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report: Report = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(report.rows.len(), 3 * 4, "three contenders, four operations");
    for row in &report.rows {
        assert_eq!((row.failure.as_deref(), row.rounds.len()), (None, 2), "{}", row.contender);
        assert_eq!(row.kind, Kind::Ours);
        for round in &row.rounds {
            let expected = if row.operation == Operation::Latency { 1_000 } else { 3_000 };
            assert_eq!(round.messages, expected, "{}", row.contender);
            assert!(
                round.seconds > 0.0 && round.cpu_seconds > 0.0 && round.allocations > 0,
                "{}",
                row.contender
            );
            assert_eq!(round.latency.is_some(), row.operation == Operation::Latency);
        }
    }
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("anybroker, batches"));
    assert!(!page.contains("http"), "the page needs nothing from elsewhere");
}

#[test]
fn a_broker_without_contenders_is_refused() {
    let ran = bench(&["gopher://127.0.0.1"]);
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("nothing is measured on `gopher`"));
}
