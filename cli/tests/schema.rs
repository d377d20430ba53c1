//! `anybroker schema`. The server is found by `ANYBROKER_REGISTRY_URL`; `ANYBROKER_TEST_EXCLUDE=registry` leaves it out.
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

/// A server, with subjects of its own; none if it is left out by name.
fn registry() -> Option<String> {
    let excluded = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    if excluded.split(',').any(|name| name == "registry") {
        eprintln!("not run: registry is excluded by ANYBROKER_TEST_EXCLUDE");
        return None;
    }
    let default = || "http://anybroker:anybroker@127.0.0.1:8081/apis/ccompat/v7".to_owned();
    let url = std::env::var("ANYBROKER_REGISTRY_URL").unwrap_or_else(|_| default());
    Some(format!("{url}?prefix={}.", anybroker::MessageId::new()))
}

#[test]
fn a_server_takes_what_is_new_and_keeps_what_it_has() {
    let Some(url) = registry() else { return };
    let place = directory(&[ONE]);
    let path = place.path().to_str().unwrap();
    let run = |verb: &str, more: &[&str]| {
        anybroker(&[&["schema", verb, path, "--registry", url.as_str()], more].concat(), "")
    };
    let ran = run("check", &[]);
    assert!(ran.code == Some(0) && ran.out.contains("version 1: the registry takes it"), "{ran:?}");
    let lines = run("register", &["--format", "json"]).json();
    assert_eq!((lines.len(), &lines[0]["registered"]), (1, &"new".into()));
    assert!(lines[0]["id"].is_u64());
    let ran = run("register", &[]);
    assert!(ran.code == Some(0) && ran.out.contains("version 1: unchanged, id "), "{ran:?}");
    let ran = anybroker(&["schema", "check", "--registry", &url], "");
    assert!(ran.code == Some(0) && ran.out.contains("1 types"), "{ran:?}");

    // What was published is another one now.
    std::fs::write(place.path().join(ONE.0), "{}").unwrap();
    let ran = run("check", &[]);
    assert!(ran.code == Some(1) && ran.out.contains("was published and is changed"), "{ran:?}");
    let ran = run("register", &[]);
    assert!(
        ran.code == Some(1) && ran.out.contains("refused: order.placed version 1 is registered"),
        "{ran:?}"
    );
}

#[test]
fn a_server_that_cannot_be_asked_is_named_without_the_password() {
    let place = directory(&[ONE]);
    let path = place.path().to_str().unwrap();
    for url in
        ["http://u:hunter2@127.0.0.1:1?attempts=1", "http://u:hunter2@h?nothing=1", "kafka://u:hunter2@h"]
    {
        let ran = anybroker(&["schema", "register", path, "--registry", url], "");
        assert!(ran.code == Some(2) && !ran.err.contains("hunter2") && !ran.err.is_empty(), "{ran:?}");
    }
}
