//! `anybroker doctor` where nothing works: no broker is needed.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking, and so do their helpers")]

#[cfg(test)]
mod command;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use command::{Ran, anybroker};
use serde_json::{Value, json};

fn first_failure(url: &str) -> (Ran, Value) {
    let began = Instant::now();
    let ran = anybroker(&["doctor", url, "--format", "json"], "");
    assert!(began.elapsed() < Duration::from_secs(30), "{url} took {:?}", began.elapsed());
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""), "{url}: {}", ran.out);
    let summary = ran.json().pop().unwrap();
    assert!(summary["failures"].as_u64() > Some(0), "{summary}");
    (ran, summary["first_failure"].clone())
}

#[test]
fn a_closed_port_is_the_first_thing_that_fails() {
    // A port that was free a moment ago refuses connections.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["kafka", "kafka+ssl", "amqp", "amqps"] {
        let (ran, first) = first_failure(&format!("{scheme}://127.0.0.1:{port}"));
        assert_eq!(first["subject"], "TCP connection", "{}", ran.out);
        assert!(first["text"].as_str().unwrap().contains(&port.to_string()), "{first}");
        assert!(first["advice"].as_str().unwrap().contains("nothing listens there"), "{first}");
    }
    let human = anybroker(&["doctor", &format!("kafka://127.0.0.1:{port}")], "");
    let last = human.out.lines().last().unwrap();
    assert!(last.starts_with("first to fail: TCP connection") && last.contains("start the broker"), "{last}");
    assert!(!human.out.contains('\x1b'), "colour without a terminal: {}", human.out);
}

#[test]
fn one_host_of_two_that_answers_is_enough_to_go_on() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = silent.local_addr().unwrap().port();
    let url = format!("amqp://127.0.0.1:{closed},127.0.0.1:{open}?deadline=1s");
    let (ran, first) = first_failure(&url);
    assert_eq!(first["subject"], "protocol", "{}", ran.out);
    let lines = ran.json();
    let hosts: Vec<_> = lines
        .iter()
        .filter(|line| line["subject"] == "TCP connection")
        .map(|line| &line["finding"])
        .collect();
    assert_eq!(hosts, ["warning", "fine"], "{}", ran.out);
}

#[test]
fn an_unknown_host_is_the_first_thing_that_fails() {
    // RFC 6761: never in the name system.
    let (ran, first) = first_failure("amqp://no-such-host.invalid");
    assert_eq!(first["subject"], "name resolution", "{}", ran.out);
    assert!(first["text"].as_str().unwrap().contains("no-such-host.invalid"), "{first}");
}

#[test]
fn a_port_that_accepts_and_says_nothing_is_told_from_a_closed_one() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for (url, subject) in [
        (format!("amqp://127.0.0.1:{port}?deadline=1s"), "protocol"),
        (format!("amqps://127.0.0.1:{port}?deadline=1s"), "encryption"),
        (format!("kafka://127.0.0.1:{port}?connect_timeout=1s"), "protocol"),
    ] {
        let (ran, first) = first_failure(&url);
        assert_eq!(first["subject"], subject, "{}", ran.out);
        assert!(first["advice"].as_str().unwrap().contains("port"), "{first}");
    }
}

#[test]
fn a_mistake_in_the_url_is_found_before_the_network_is() {
    for (url, part) in [
        ("kafka://no-such-host.invalid?partitons=2", "known are"),
        ("kafak://no-such-host.invalid", "kafka://"),
        ("amqp://user:hunter2@no-such-host.invalid?partitions=0", "1 to 256"),
        ("kafka://user:hunter2@host:port", "port"),
    ] {
        let (ran, first) = first_failure(url);
        assert_eq!((&first["subject"], ran.json().len()), (&json!("URL"), 2), "{}", ran.out);
        assert!(first["text"].as_str().unwrap().contains(part), "{first}");
        assert!(!ran.out.contains("hunter2"), "{}", ran.out);
    }
}

#[test]
fn what_needs_no_network_is_examined_all_the_same() {
    let ran = anybroker(&["doctor", "memory://", "--round-trip", "--format", "json"], "");
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    let lines = ran.json();
    let shape = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let (summary, findings) = lines.split_last().unwrap();
    for line in findings {
        assert_eq!(shape(line), ["advice", "finding", "subject", "text"], "{line}");
    }
    assert_eq!(shape(summary), ["failures", "fine", "first_failure", "unknown", "warnings"]);
    let subjects: Vec<_> = findings.iter().map(|line| line["subject"].as_str().unwrap()).collect();
    assert!(subjects.contains(&"durability") && subjects.contains(&"round trip"), "{subjects:?}");
    assert!(!subjects.contains(&"TCP connection"), "{subjects:?}");
    let strict = anybroker(&["doctor", "memory://", "--strict"], "");
    assert_eq!(strict.code, Some(1), "its durability is a warning: {}", strict.out);
}
