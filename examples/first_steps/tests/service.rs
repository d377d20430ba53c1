//! The service as a process of its own, ended by signals.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

fn service(url: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_service"));
    let mut child =
        command.env("ANYBROKER_URL", url).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn count(lines: impl Iterator<Item = std::io::Result<String>>, what: &str) -> usize {
    lines.map(Result::unwrap).filter(|line| line.starts_with(what)).count()
}

#[test]
fn sigterm_lets_handlers_end_and_hands_the_rest_back() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/broker.db?topology=create", folder.path().display());
    let (mut child, mut lines) = service(&url);
    // One for each person begins; the second of each waits behind it.
    assert_eq!(count(lines.by_ref().take(3), "begins"), 3);
    signal(&child, "-TERM");
    assert_eq!(count(lines.by_ref(), "done"), 3);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    // What was handed back is what the next one begins with: the second of each, once it has published its own six.
    let (mut child, mut lines) = service(&url);
    let first: Vec<_> = lines.by_ref().take(3).map(Result::unwrap).collect();
    assert!(first.iter().all(|line| line.contains("good night")), "{first:?}");
    signal(&child, "-TERM");
    assert_eq!(count(lines, "done"), 3);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (mut child, mut lines) = service("memory://service");
    assert_eq!(count(lines.by_ref().take(3), "begins"), 3);
    let began = Instant::now();
    signal(&child, "-INT");
    signal(&child, "-TERM");
    let code = child.wait().unwrap().code();
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!((code, count(lines, "done")), (Some(1), 0));
}
