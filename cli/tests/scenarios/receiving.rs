//! How `sub` begins and ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::topic::TestTopic;
use crate::command::{finish, spawn};

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Ends a child that does not end by itself.
fn wait_for_end(child: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it did not end within a minute");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn what_was_printed_does_not_come_again(url: &str) {
    let topic = TestTopic::create(url);
    topic.fill(10);
    assert_eq!(topic.numbers(&["--idle", "3"]), (0..10).collect::<Vec<_>>());
    assert!(topic.numbers(&["--idle", "3"]).is_empty());
    // Another group has not seen them, where the broker keeps them; the same group from the start sees them again.
    topic.fill(1);
    assert_eq!(topic.numbers(&["--max", "1"]), [0]);
}

pub(crate) fn no_more_than_max_is_taken(url: &str) {
    let topic = TestTopic::create(url);
    topic.fill(10);
    assert_eq!(topic.numbers(&["--max", "3"]), [0, 1, 2]);
    assert_eq!(topic.numbers(&["--max", "7"]), (3..10).collect::<Vec<_>>());
    assert!(topic.numbers(&["--idle", "2"]).is_empty());
}

pub(crate) fn without_acknowledgement_all_come_again(url: &str) {
    let topic = TestTopic::create(url);
    topic.fill(10);
    assert_eq!(topic.numbers(&["--max", "5", "--no-ack"]), (0..5).collect::<Vec<_>>());
    assert_eq!(topic.numbers(&["--idle", "3", "--no-ack"]), (0..10).collect::<Vec<_>>());
    assert_eq!(topic.numbers(&["--max", "10"]), (0..10).collect::<Vec<_>>());
}

pub(crate) fn a_signal_settles_what_was_printed(url: &str) {
    let topic = TestTopic::create(url);
    topic.fill(2_000);
    let mut child = spawn(&topic.sub_args(&[]));
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut printed = Vec::new();
    let mut line = String::new();
    while printed.len() < 100 {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended early");
        printed.push(line.clone());
    }
    signal(&child, "-TERM");
    printed.extend(out.lines().map(|line| line.unwrap()));
    wait_for_end(&mut child);
    let ran = finish(child);
    assert_eq!(ran.code, Some(0), "{}", ran.err);

    if printed.len() < 2_000 {
        let left = 2_000 - printed.len();
        assert_eq!(topic.numbers(&["--max", &left.to_string()]), (printed.len()..2_000).collect::<Vec<_>>());
    }
    assert!(topic.numbers(&["--idle", "3"]).is_empty());
}

pub(crate) fn a_reader_who_leaves_loses_nothing(url: &str) {
    let topic = TestTopic::create(url);
    // More than a pipe holds, so that writing fails once the reader has gone.
    topic.fill(5_000);
    let mut child = spawn(&topic.sub_args(&[]));
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    wait_for_end(&mut child);
    let ran = finish(child);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));

    let rest = topic.numbers(&["--idle", "3"]);
    assert!(!rest.is_empty() && rest.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{} left", rest.len());
    assert_eq!(rest.last(), Some(&4_999));
}

pub(crate) fn an_interrupted_publish_says_where_it_stopped(url: &str) {
    let topic = TestTopic::create(url);
    let mut child = spawn(&["pub", url, &topic.name, "--key", "k", "--format", "json"]);
    let mut input = child.stdin.take().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    input.write_all(b"0\n1\n").unwrap();
    let mut lines: Vec<String> = Vec::new();
    while lines.len() < 2 {
        let mut line = String::new();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended early");
        lines.push(line);
    }
    signal(&child, "-INT");
    lines.extend(out.lines().map(|line| line.unwrap()));
    wait_for_end(&mut child);
    drop(input);
    let ran = finish(child);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("interrupted: nothing after line 2 was sent"), "{}", ran.err);
    assert_eq!(lines.last().unwrap(), r#"{"published":2,"ok":2,"failed":0,"unknown":0}"#);
    assert_eq!(topic.numbers(&["--max", "2"]), [0, 1]);
}
