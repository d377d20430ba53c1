//! A bounded run on the broker in the process. It asserts what was counted, and no time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and so do their helpers")]

use std::process::{Command, Output};

use anybroker_bench::contender::Kind;
use anybroker_bench::harness::Dimension;
use anybroker_bench::report::{Report, Scaling};
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
fn scaling_measures_every_step_and_says_what_it_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let mut arguments =
        "memory://bench --scaling --rounds 2 --messages 3000 --most".split(' ').collect::<Vec<_>>();
    arguments.extend([
        "backlog=10000,subscriptions=10",
        "--format",
        "json",
        "--html",
        page.to_str().unwrap(),
    ]);
    let ran = bench(&arguments);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report: Scaling = serde_json::from_slice(&ran.stdout).unwrap();
    let steps = |dimension, operation| {
        let of = report.steps.iter().filter(|it| (it.dimension, it.row.operation) == (dimension, operation));
        of.map(|it| it.step).collect::<Vec<_>>()
    };
    for operation in [Operation::Publish, Operation::Consume] {
        assert_eq!(steps(Dimension::Keys, operation), [1, 10, 100, 1_000]);
        assert_eq!(steps(Dimension::Partitions, operation), [1, 4, 16, 64]);
        assert_eq!(steps(Dimension::Subscriptions, operation), [1, 10]);
    }
    assert_eq!(steps(Dimension::Backlog, Operation::Through), [1_000, 10_000]);
    assert_eq!(report.left_out.len(), 3 + 2, "{:?}", report.left_out);
    for step in &report.steps {
        assert_eq!((step.row.failure.as_deref(), step.row.rounds.len()), (None, 2), "{}", step.step);
        assert!(step.row.rounds.iter().all(|round| round.messages == 3_000 && round.peak_bytes > 0));
        assert!(step.against_first.is_some());
    }
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("left out by --most: backlog 10,000,000"));
}

#[test]
fn scaling_is_of_what_there_is() {
    for (arguments, why) in [
        (["memory://", "--scaling", "colours"], "colours"),
        (["memory://", "--scaling", "--most=keys=0"], "the first step of keys is 1"),
        (["memory://", "--most", "keys=10"], "--scaling"),
    ] {
        let ran = bench(&arguments);
        assert_eq!(ran.status.code(), Some(2));
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_broker_without_contenders_is_refused() {
    let ran = bench(&["gopher://127.0.0.1"]);
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("nothing is measured on `gopher`"));
}

#[test]
fn what_a_broker_does_not_have_is_refused() {
    for (arguments, why) in [
        (["nats+core://127.0.0.1", "--operation=consume"], "stores nothing that could be consumed"),
        (["nats+core://127.0.0.1", "--scaling=backlog"], "no steps of backlog on core NATS"),
        (["sqs://us-east-1", "--scaling=partitions"], "no steps of partitions on SQS FIFO"),
    ] {
        let ran = bench(&arguments);
        assert_eq!(ran.status.code(), Some(2));
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(said.contains(why), "{said}");
    }
}
