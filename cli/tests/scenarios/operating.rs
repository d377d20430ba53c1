//! Groups, their lag, dead letters, and the doctor.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::{Value, json};

use super::topic::TestTopic;
use crate::command::{anybroker, finish, spawn};

/// How long a line may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);

fn of<'a>(lines: &'a [Value], field: &str, value: &str) -> &'a Value {
    lines.iter().find(|line| line[field] == value).unwrap_or_else(|| panic!("no {field} {value}: {lines:?}"))
}

pub(crate) fn groups_and_their_lag_are_shown_and_alarmed_on(url: &str) {
    let topic = TestTopic::create(url);
    let other_group = format!("other-{}", topic.group);
    let created = anybroker(&["topics", "create", url, &topic.name, "--groups", &other_group], "");
    assert_eq!(created.code, Some(0), "{}", created.err);
    topic.fill(10);
    topic.receive(&["--max", "4"]);

    let ran = anybroker(&["groups", url, &topic.name, "--format", "json"], "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let groups = ran.json();
    assert_eq!(groups.len(), 2, "{groups:?}");
    let other = of(&groups, "group", &other_group);
    assert_eq!((&other["members"], &other["backlog"]), (&json!(0), &json!(10)));
    assert_eq!(of(&groups, "group", &topic.group)["backlog"], 6);
    let partitions = other["partitions"].as_array().unwrap();
    assert_eq!(partitions.iter().map(|lag| lag["backlog"].as_u64().unwrap()).sum::<u64>(), 10);

    let lag =
        |options: &[&str]| anybroker(&[&["lag", url, &topic.name, "--format", "json"], options].concat(), "");
    let ran = lag(&["--max", "10"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_eq!(of(&ran.json(), "group", &topic.group)["topic"], topic.name.as_str());
    let ran = lag(&["--max", "9"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains(&format!("`{other_group}`")) && ran.err.lines().count() == 1, "{}", ran.err);
    let ran = lag(&["--max", "9", "--group", &topic.group]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!((ran.json().len(), &ran.json()[0]["backlog"]), (1, &json!(6)));
    assert_eq!(lag(&["--max", "5", "--group", &topic.group]).code, Some(1));
    let ran = lag(&["--group", &topic.group, "--partitions"]);
    assert!(ran.json()[0]["partitions"].is_array(), "{}", ran.out);
    let ran = lag(&["--group", "nobody"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("nobody"), "{}", ran.err);
}

pub(crate) fn whoever_watches_the_lag_is_told_when_it_is_too_much(url: &str) {
    let topic = TestTopic::create(url);
    let args = ["lag", url, &topic.name, "--watch", "0.2", "--max", "5", "--format", "json"];
    let mut child = spawn(&args);
    let out = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || out.lines().map(Result::unwrap).try_for_each(|line| sender.send(line)));
    let next = || -> Value { serde_json::from_str(&lines.recv_timeout(PATIENCE).unwrap()).unwrap() };
    assert_eq!(next()["backlog"], 0);
    topic.fill(6);
    while next()["backlog"] != 6 {}
    // It ends by itself.
    let ran = finish(child);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("6 messages wait for group"), "{}", ran.err);
}

pub(crate) fn dead_letters_are_looked_at_and_stay(url: &str) {
    let topic = TestTopic::create(url);
    let letter = json!({
        "id": "m-1", "key": "k", "type": "order.placed", "payload": "3 apples",
        "headers": {
            "tenant": "acme", "dead-letter-reason": "no such\u{1b}[31m customer", "dead-letter-topic": "orders",
            "dead-letter-position": "2/17", "dead-letter-group": "billing", "dead-letter-attempts": "5",
            "dead-letter-time": "2026-11-26T13:00:00.000Z",
        },
    });
    let bare = json!({"id": "m-2", "key": "k", "payload": "no envelope"});
    let ran = topic.publish(&["--input", "envelope"], &format!("{letter}\n{bare}\n"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);

    let dlq = |command: &str, options: &[&str]| {
        anybroker(&[&["dlq", command, url, &topic.name, "--group", &topic.group], options].concat(), "")
    };
    // Twice: looking takes nothing away.
    for _ in 0..2 {
        let ran = dlq("list", &["--format", "json", "--max", "2"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let letters = ran.json();
        assert_eq!(letters.len(), 2, "{}", ran.out);
        let first = &letters[0];
        assert_eq!(first["origin"], json!({"topic": "orders", "position": "2/17", "group": "billing"}));
        assert_eq!((&first["attempts"], &first["message"]["payload"]), (&json!(5), &json!("3 apples")));
        assert_eq!((&letters[1]["reason"], &letters[1]["message"]["id"]), (&Value::Null, &json!("m-2")));
    }
    let human = dlq("list", &["--max", "1"]);
    assert!(
        human.out.contains("orders 2/17 group billing") && !human.out.contains('\u{1b}'),
        "{}",
        human.out
    );
    assert!(human.err.contains("--max"), "it says that there may be more: {}", human.err);

    let shown = dlq("show", &["m-1"]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(shown.out.contains("3 apples") && shown.out.contains("tenant=acme"), "{}", shown.out);
    let missing = dlq("show", &["m-3", "--max", "2"]);
    assert_eq!((missing.code, missing.out.as_str()), (Some(1), ""), "{}", missing.err);

    assert_eq!(topic.receive(&["--max", "2"]).json().len(), 2, "they can still be consumed");
}

pub(crate) fn a_doctor_finds_a_healthy_broker_and_leaves_nothing_behind(url: &str) {
    let ran = anybroker(&["doctor", url, "--round-trip", "--format", "json"], "");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);
    let lines = ran.json();
    for subject in ["URL", "TCP connection", "connection", "health", "round trip"] {
        assert_eq!(of(&lines, "subject", subject)["finding"], "fine", "{}", ran.out);
    }
    for subject in ["version", "clock", "encryption", "guarantees"] {
        of(&lines, "subject", subject);
    }
    let summary = lines.last().unwrap();
    assert_eq!((&summary["failures"], &summary["first_failure"]), (&json!(0), &Value::Null));
    for line in lines.iter().filter(|line| line["finding"] == "warning" || line["finding"] == "failure") {
        assert!(line["advice"].is_string(), "it does not say what to change: {line}");
    }
    let strict = anybroker(&["doctor", url, "--strict"], "");
    assert_eq!(strict.code == Some(0), summary["warnings"] == 0, "{}", strict.out);

    let listed = anybroker(&["topics", "list", url], "");
    assert!(!listed.out.contains("anybroker-doctor"), "{}", listed.out);
}

pub(crate) fn a_doctor_finds_what_a_topic_lacks(url: &str) {
    let topic = TestTopic::create(url);
    let ran = anybroker(&["doctor", url, "--topic", &topic.name, "--format", "json"], "");
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    for subject in ["permission to publish", "permission to consume"] {
        assert_eq!(of(&ran.json(), "subject", subject)["finding"], "fine", "{}", ran.out);
    }
    let lag = anybroker(&["lag", url, &topic.name, "--max", "0"], "");
    assert_eq!(lag.code, Some(0), "a diagnosis published something: {}", lag.err);

    let ran = anybroker(&["doctor", url, "--topic", "cli-no-such-topic", "--format", "json"], "");
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    let first = ran.json().pop().unwrap()["first_failure"].clone();
    assert!(first["text"].as_str().unwrap().contains("topics create"), "{first}");
}
