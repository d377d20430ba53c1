//! The example as a program: what it says, and what it keeps, against a count of our own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::process::Command;

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exactly_once"));
    command.args(arguments).env_remove("ANYBROKER_URL");
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_word_counts_once_although_workers_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let (code, said) = run(&["20000", "--kills", "20", "--json", "--out", &out]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(r#""counted":160000,"kills":20,"wrong":0"#), "{said}");

    let (lines, counts) = (folder.path().join("lines.txt"), folder.path().join("counts.txt"));
    let mut truth = BTreeMap::<String, u64>::new();
    for word in std::fs::read_to_string(lines).unwrap().split_whitespace() {
        *truth.entry(word.to_owned()).or_default() += 1;
    }
    let counted = std::fs::read_to_string(counts).unwrap();
    let counted = counted.lines().map(|line| line.split_once(' ').unwrap());
    let counted: BTreeMap<_, _> =
        counted.map(|(count, word)| (word.to_owned(), count.parse().unwrap())).collect();
    assert_eq!(counted, truth);
}

#[test]
fn bad_arguments_are_told_by_the_exit_code() {
    assert_eq!(run(&["none"]).0, Some(2));
    assert_eq!(run(&["10", "--url", "nowhere://"]).0, Some(2));
}
