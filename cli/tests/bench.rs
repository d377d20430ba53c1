//! `anybroker bench` finds the program and passes on what it is told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and so do their helpers")]

#[cfg(test)]
mod command;

use std::os::unix::fs::PermissionsExt;

use command::anybroker_in;

/// Says what it was told, and that something could not be measured.
fn program(folder: &tempfile::TempDir) -> String {
    let program = folder.path().join("program");
    std::fs::write(&program, "#!/bin/sh\necho \"$ANYBROKER_URL $*\"\nexit 1\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program.to_str().unwrap().to_owned()
}

#[test]
fn the_program_gets_what_was_asked_for_and_ends_as_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(&folder);
    let environment = [("ANYBROKER_BENCH", program.as_str())];
    let args = [
        "bench",
        "memory://x",
        "--size",
        "128,1024",
        "--rounds",
        "2",
        "--peers",
        "--format",
        "json",
        "--",
        "--keys",
        "7",
    ];
    let ran = anybroker_in(&environment, &args);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.out, "memory://x --size 128,1024 --rounds 2 --format json --peers --keys 7\n");
}

#[test]
fn scaling_of_all_or_of_some_dimensions_is_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(&folder);
    let ran = |args: &[&str]| {
        let all = [&["bench", "memory://x"], args].concat();
        anybroker_in(&[("ANYBROKER_BENCH", program.as_str())], &all).out
    };
    assert_eq!(ran(&["--scaling"]), "memory://x --format human --scaling\n");
    assert_eq!(
        ran(&["--scaling", "keys,backlog", "--most", "backlog=1000"]),
        "memory://x --most backlog=1000 --format human --scaling keys,backlog\n"
    );
    assert_eq!(ran(&["--most", "backlog=1000"]), "", "there is nothing to limit");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let ran = anybroker_in(&[("ANYBROKER_BENCH", "/nowhere/bench")], &["bench", "memory://"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.err.contains("/nowhere/bench cannot be run"), "{}", ran.err);
}
