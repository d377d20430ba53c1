//! `anybroker schema`. The servers are found by `ANYBROKER_REGISTRY_URL` and `ANYBROKER_GLUE_URL`;
//! `ANYBROKER_TEST_EXCLUDE=registry,glue` leaves them out.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking, and so do their helpers")]

#[cfg(test)]
mod command;

use command::anybroker;
use tempfile::TempDir;

fn directory(files: &[(&str, &str)]) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = place.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    place
}

const ONE: (&str, &str) = (
    "order.placed/1.json",
    r#"{"type":"object","properties":{"euros":{"type":"integer"}},"required":["euros"]}"#,
);
/// What version 1 wrote is not read.
const TWO: (&str, &str) = (
    "order.placed/2.json",
    r#"{"type":"object","properties":{"cents":{"type":"integer"}},"required":["cents"]}"#,
);
const GOLDEN: (&str, &str) = ("order.placed/1.golden/usual.json", r#"{"euros":2}"#);
/// What is beyond the check.
const ODD: [(&str, &str); 2] =
    [("odd/1.json", r#"{"type":"string"}"#), ("odd/2.json", r#"{"type":"string","not":{"const":"x"}}"#)];

#[test]
fn every_violation_is_told_and_the_exit_code_says_so() {
    let place = directory(&[ONE, TWO]);
    let ran = anybroker(&["schema", "check", place.path().to_str().unwrap(), "--compatibility", "full"], "");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for said in [
        "order.placed: version 2 reads version 1: incompatible",
        "/cents (required): version 1 does not write it",
        "order.placed: version 1 reads version 2: incompatible",
        "/euros (required): version 2 does not write it",
    ] {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
}

/// Files, options, exit code, and what is said.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], i32, &'a str);

#[test]
fn what_may_be_is_allowed_by_name() {
    let cases: [Case<'_>; 7] = [
        (&[ONE], &[], 0, "1 types: 0 compatible"),
        (&[ONE, TWO], &["--last", "0"], 0, "0 incompatible"),
        (&[ONE, TWO], &["--allow-upcast"], 1, "incompatible"),
        (&[ONE, TWO, GOLDEN], &[], 1, "incompatible"),
        (&[ONE, TWO, GOLDEN], &["--allow-upcast"], 0, "upcast: its golden payloads must be tested"),
        (&ODD, &[], 1, "not judged"),
        (&ODD, &["--allow-not-judged"], 0, "version 2 has `not`"),
    ];
    for (files, options, code, said) in cases {
        let place = directory(files);
        let args = [&["schema", "check", place.path().to_str().unwrap()], options].concat();
        let ran = anybroker(&args, "");
        assert!(ran.code == Some(code) && ran.out.contains(said), "{options:?} {ran:?}");
    }
}

#[test]
fn a_published_schema_must_stay() {
    let (published, now) = (directory(&[ONE, TWO]), directory(&[(ONE.0, "{}")]));
    let (published, now) = (published.path().to_str().unwrap(), now.path().to_str().unwrap());
    let ran = anybroker(&["schema", "check", now, "--against", published, "--format", "json"], "");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lines = ran.json();
    assert_eq!(lines[0]["version"], 1);
    assert_eq!(lines[0]["differences"][0]["pointer"], "/properties");
    assert_eq!((&lines[1]["version"], &lines[1]["differences"]), (&2.into(), &serde_json::Value::Null));
    assert_eq!(lines[2]["changed"], 2);
}

#[test]
fn what_is_no_registry_is_refused() {
    for (files, said) in [
        (&[][..], "has no schemas"),
        (&[("order.placed/1.json", "{")][..], "order.placed/1.json: it is no JSON"),
        (&[("order.placed/first.json", "{}")][..], "no version"),
    ] {
        let place = directory(files);
        let ran = anybroker(&["schema", "check", place.path().to_str().unwrap()], "");
        assert!(ran.code == Some(2) && ran.err.contains(said), "{ran:?}");
    }
}

/// A server, with schemas of its own; none if it is left out by name.
fn server(name: &str, variable: &str, default: &str) -> Option<String> {
    let excluded = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    if excluded.split(',').any(|left_out| left_out == name) {
        eprintln!("not run: {name} is excluded by ANYBROKER_TEST_EXCLUDE");
        return None;
    }
    let url = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    let sign = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{sign}prefix={}.", anybroker::MessageId::new()))
}

fn registry() -> Option<String> {
    let default = "http://anybroker:anybroker@127.0.0.1:8081/apis/ccompat/v7";
    server("registry", "ANYBROKER_REGISTRY_URL", default)
}

#[cfg(feature = "glue")]
fn glue() -> Option<String> {
    server("glue", "ANYBROKER_GLUE_URL", "glue://us-east-1?endpoint=http://127.0.0.1:5000")
}

#[test]
fn a_server_takes_what_is_new_and_keeps_what_it_has() {
    let Some(url) = registry() else { return };
    let place = directory(&[ONE]);
    let lines = takes_and_keeps(&url, &place);
    assert!(lines[0]["id"].is_u64());
    let ran = anybroker(&["schema", "check", "--registry", &url], "");
    assert!(ran.code == Some(0) && ran.out.contains("1 types"), "{ran:?}");
    refuses_what_was_published(&url, &place);
}

#[cfg(feature = "glue")]
#[test]
fn glue_takes_what_is_new_and_keeps_what_it_has() {
    let Some(url) = glue() else { return };
    let place = directory(&[ONE]);
    let lines = takes_and_keeps(&url, &place);
    assert!(lines[0]["id"].is_string());
    refuses_what_was_published(&url, &place);
}

#[cfg(feature = "glue")]
#[test]
fn glue_refuses_what_nobody_could_read() {
    let Some(url) = glue() else { return };
    let place = directory(&[ONE]);
    takes_and_keeps(&url, &place);
    std::fs::write(place.path().join(TWO.0), TWO.1).unwrap();
    let args = |verb| ["schema", verb, place.path().to_str().unwrap(), "--registry", &url];
    let ran = anybroker(&args("check"), "");
    assert!(ran.code == Some(1) && ran.out.contains("version 2: the registry refuses it"), "{ran:?}");
    let ran = anybroker(&args("register"), "");
    assert!(ran.code == Some(1) && ran.out.contains("order.placed version 2 is refused"), "{ran:?}");
}

/// What registering said.
fn takes_and_keeps(url: &str, place: &TempDir) -> Vec<serde_json::Value> {
    let path = place.path().to_str().unwrap();
    let run = |verb: &str, more: &[&str]| {
        anybroker(&[&["schema", verb, path, "--registry", url], more].concat(), "")
    };
    let ran = run("check", &[]);
    assert!(ran.code == Some(0) && ran.out.contains("version 1: the registry takes it"), "{ran:?}");
    let lines = run("register", &["--format", "json"]).json();
    assert_eq!((lines.len(), &lines[0]["registered"]), (1, &"new".into()));
    let ran = run("register", &[]);
    assert!(ran.code == Some(0) && ran.out.contains("version 1: unchanged, id "), "{ran:?}");
    lines
}

fn refuses_what_was_published(url: &str, place: &TempDir) {
    let path = place.path().to_str().unwrap();
    let run = |verb: &str| anybroker(&["schema", verb, path, "--registry", url], "");
    // What was published is another one now.
    std::fs::write(place.path().join(ONE.0), "{}").unwrap();
    let ran = run("check");
    assert!(ran.code == Some(1) && ran.out.contains("was published and is changed"), "{ran:?}");
    let ran = run("register");
    assert!(
        ran.code == Some(1) && ran.out.contains("refused: order.placed version 1 is registered"),
        "{ran:?}"
    );
}

#[test]
fn a_server_that_cannot_be_asked_is_named_without_the_password() {
    let place = directory(&[ONE]);
    let path = place.path().to_str().unwrap();
    for url in [
        "http://u:hunter2@127.0.0.1:1?attempts=1",
        "http://u:hunter2@h?nothing=1",
        "kafka://u:hunter2@h",
        "glue://u:hunter2@r?endpoint=http://127.0.0.1:1",
    ] {
        let ran = anybroker(&["schema", "register", path, "--registry", url], "");
        assert!(ran.code == Some(2) && !ran.err.contains("hunter2") && !ran.err.is_empty(), "{ran:?}");
    }
}
