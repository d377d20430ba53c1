//! `anybroker conform` where no broker is needed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and so do their helpers")]

#[cfg(test)]
mod command;

use std::io::{BufRead, BufReader, Read};
use std::process::Command;

use command::{anybroker, spawn};

#[test]
fn memory_keeps_what_it_promises() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("memory.json");
    let ran = anybroker(
        &["conform", "memory://", "--seed", "7", "--format", "json", "--json", file.to_str().unwrap()],
        "",
    );
    let report = ran.json().remove(0);
    assert_eq!((&report["backend"], &report["seed"]), (&"memory".into(), &7.into()));
    assert_eq!((ran.code, &report["verdict"]), (Some(0), &"pass".into()), "{}\n{report:#}", ran.err);
    assert!(report["version"].is_string() && report["faults"].is_object(), "{report:#}");
    for (property, found) in report["properties"].as_object().unwrap() {
        let enough = found["opportunities"].as_u64() >= found["minimum"].as_u64();
        match found["verdict"].as_str().unwrap() {
            "pass" => {
                assert!(enough && !found["cases"].as_array().unwrap().is_empty(), "{property}: {found}");
            }
            "not_applicable" => assert!(found["reason"].is_string(), "{property}: {found}"),
            other => panic!("{property}: {other}: {found}"),
        }
    }
    assert!(ran.err.contains("topology=check"), "what was added to the URL is said: {}", ran.err);
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(written, report);

    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (page, xml) = (path("page.html"), path("junit.xml"));
    let merged = anybroker(
        &["report", file.to_str().unwrap(), "--html", &page, "--junit", &xml, "--markdown", "-"],
        "",
    );
    assert_eq!(merged.code, ran.code, "{merged:?}");
    assert!(merged.out.contains("| P3 no loss | ✓ "), "{}", merged.out);
    assert!(std::fs::read_to_string(page).unwrap().contains("<h2 id=\"run0-head\">memory"));
    assert!(std::fs::read_to_string(xml).unwrap().contains("<testsuite name=\"memory\""));
}

#[test]
fn a_file_that_is_no_report_is_named() {
    for (args, hint) in [
        (&["report"][..], "<FILES>"),
        (&["report", "/no/such/file"], "/no/such/file"),
        (&["report", "/dev/null"], "/dev/null: it is no JSON"),
    ] {
        let ran = anybroker(args, "");
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.err.contains(hint), "{}", ran.err);
    }
}

#[test]
fn what_cannot_be_run_is_said_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let unwritable = folder.path().join("no/such/report.json");
    let cases: [(&[&str], &str); 7] = [
        (&["conform", "nats://127.0.0.1:1"], "anybroker brokers up nats"),
        (&["conform", "nats://127.0.0.1:1", "--faults", "none"], "127.0.0.1:1"),
        (&["conform", "memory://?partitons=2"], "partitions"),
        (&["conform", "memory://", "--faults", "some"], "possible values"),
        (&["conform", "memory://", "--minutes", "many"], "minutes"),
        (&["conform", "memory://", "--messages", "5"], "--minutes"),
        (&["conform", "memory://", "--json", unwritable.to_str().unwrap()], "No such file"),
    ];
    for (args, hint) in cases {
        let ran = anybroker(args, "");
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args:?}: {ran:?}");
        assert!(ran.err.contains(hint) && !ran.err.contains("[1/"), "{args:?}: {}", ran.err);
    }
}

#[test]
fn an_interrupted_run_says_where_it_stands() {
    let mut child = spawn(&["conform", "memory://", "--seed", "9"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("[1/") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before it began");
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut said = String::new();
    lines.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{said}");
    assert!(said.contains("interrupted after") && said.contains("--seed 9"), "{said}");
}

#[test]
fn a_soak_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("soak.json").to_str().unwrap().to_owned();
    let soak = |messages: &str| {
        let args = [
            "conform",
            "memory://",
            "--seed",
            "7",
            "--minutes",
            "0",
            "--state",
            &state,
            "--messages",
            messages,
        ];
        let ran = anybroker(&[&args[..], &["--format", "json"]].concat(), "");
        assert!(ran.err.contains("round "), "{}", ran.err);
        let report = ran.json().remove(0);
        (report["published"].as_u64().unwrap(), report["cases"].as_array().unwrap().len())
    };
    let (published, rounds) = soak("1");
    let (more, all) = soak(&(published + 1).to_string());
    assert!(published >= 1 && more > published && all > rounds, "{published} {rounds} {more} {all}");
}
