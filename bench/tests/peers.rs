//! Other libraries are measured only by a program that was built with them, and one that was not says so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and so do their helpers")]

use std::process::Command;

fn refusal(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anybroker-bench"));
    let ran = command.env_remove("ANYBROKER_URL").args(arguments).output().unwrap();
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    String::from_utf8(ran.stderr).unwrap()
}

#[test]
fn peers_are_refused_where_there_are_none() {
    let said = refusal(&["memory://bench", "--peers"]);
    let why =
        if cfg!(feature = "peers") { "no other library is measured on memory" } else { "--features peers" };
    assert!(said.contains(why), "{said}");
}

#[test]
fn a_contender_that_is_not_there_is_named() {
    let said = refusal(&["memory://bench", "--only", "batches,ruststream"]);
    assert!(
        said.contains("no contender's name contains `ruststream`: they are anybroker, batches"),
        "{said}"
    );
}
