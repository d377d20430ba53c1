//! The command line on a file that several processes share: the scenarios of every broker, and a look into a service
//! that runs. No broker is needed.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking, and so do their helpers")]
#![allow(dead_code, unused_imports, reason = "some scenarios need a server")]

#[cfg(test)]
mod command;

#[cfg(test)]
mod scenarios;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use command::{anybroker, finish, spawn};

fn url(name: &str) -> String {
    let folder =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    format!("sqlite://{}", folder.join(format!("{name}.db")).display())
}

macro_rules! on_a_file {
    ($($scenario:ident),+ $(,)?) => {
        $(
            #[test]
            fn $scenario() {
                scenarios::$scenario(&url(stringify!($scenario)));
            }
        )+
    };
}

on_a_file! {
    everything_of_a_message_arrives,
    what_was_printed_does_not_come_again,
    no_more_than_max_is_taken,
    without_acknowledgement_all_come_again,
    a_signal_settles_what_was_printed,
    topics_are_listed_purged_and_deleted,
    groups_and_their_lag_are_shown_and_alarmed_on,
    whoever_watches_the_lag_is_told_when_it_is_too_much,
    dead_letters_are_looked_at_and_stay,
    dead_letters_come_again_as_they_were,
    dead_letters_are_chosen_and_a_dry_run_changes_nothing,
    some_dead_letters_are_discarded_and_some_replayed,
    an_interrupted_replay_loses_nothing,
}

/// Asks until it is so.
fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "it did not come to this: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn other_processes_see_into_a_service_that_runs() {
    let url = url("service");
    let run = |args: &[&str]| {
        let ran = anybroker(args, "1\n2\n3\n");
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        ran
    };
    run(&["topics", "create", &url, "orders", "--groups", "billing,audit"]);
    let service = spawn(&["sub", &url, "orders", "--group", "billing"]);
    let members = || run(&["groups", &url, "orders", "--format", "json"]).json();
    let billing = |field: &str| {
        let groups = members();
        groups.iter().find(|line| line["group"] == "billing").unwrap()[field].clone()
    };
    until("the service is a member", || billing("members") == 1);

    run(&["pub", &url, "orders", "--key", "k"]);
    until("the service has acknowledged everything", || billing("backlog") == 0);
    let lag = anybroker(&["lag", &url, "orders", "--max", "2"], "");
    assert_eq!(lag.code, Some(1), "nobody reads for the audit: {lag:?}");
    assert!(lag.err.contains("`audit`"), "{}", lag.err);
    let audit = run(&["sub", &url, "orders", "--group", "audit", "--max", "3", "--format", "json"]);
    assert_eq!(audit.json().len(), 3);
    let letters = run(&["dlq", "list", &url, "orders", "--format", "json", "--max", "3"]);
    assert_eq!(letters.json().len(), 3, "another group sees them all, whoever has read them");

    let doctor = run(&["doctor", &url, "--topic", "orders", "--format", "json"]);
    assert_eq!(doctor.json().last().unwrap()["failures"], 0);
    let stop = Command::new("kill").args(["-TERM", &service.id().to_string()]).stdout(Stdio::null()).status();
    assert!(stop.unwrap().success());
    let ended = finish(service);
    assert_eq!((ended.code, ended.out.lines().count()), (Some(0), 3), "{}", ended.err);
    assert_eq!(billing("members"), 0);
}
