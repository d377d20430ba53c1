//! The command line where no broker is needed: usage, exit codes, `memory://`, histories.

#[cfg(test)]
mod command;

use command::anybroker;
use serde_json::json;

#[test]
fn wrong_usage_is_exit_code_2_and_says_what_is_right() {
    let cases: [(&[&str], &str); 20] = [
        (&[], "Usage"),
        (&["publish"], "unrecognized subcommand"),
        (&["pub", "memory://"], "<TOPIC>"),
        (&["pub", "kafak://h", "t"], "kafka://"),
        (&["pub", "memory", "t"], "no scheme"),
        (&["pub", "memory://?partitons=2", "t"], "known are: like"),
        (&["pub", "memory://", "a b"], "letters, digits"),
        (&["pub", "memory://", "t", "/no/such/file"], "/no/such/file"),
        (&["pub", "memory://", "t", "/"], "directory"),
        (&["pub", "memory://", "t", "-H", "novalue"], "NAME=VALUE"),
        (&["pub", "memory://", "t", "-H", "ce_id=1"], "reserved"),
        (&["pub", "memory://", "t", "--key", "k", "--key-field", "f"], "cannot be used with"),
        (&["pub", "memory://", "t", "--input", "lines", "--key-field", "f"], "--input json"),
        (&["sub", "memory://", "t"], "--group"),
        (&["sub", "memory://", "t", "--group", "g", "--idle", "0"], "more than 0"),
        (&["guarantees", "memory://", "--require", "odering=key"], "ordering"),
        (&["lag", "orders"], "ANYBROKER_URL"),
        (&["lag", "memory://", "t", "--watch", "0"], "more than 0"),
        (&["dlq", "list", "memory://", "t", "--max", "0"], "--max"),
        (&["groups", "memory://?topology=check", "t"], "does not exist"),
    ];
    for (args, hint) in cases {
        let ran = anybroker(args, "");
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
        assert_eq!(ran.out, "", "{args:?}");
        assert!(ran.err.contains(hint), "{args:?}: {}", ran.err);
    }
}

#[test]
fn no_secret_is_printed() {
    for url in
        ["kafak://user:hunter2@h", "memory://user:hunter2@h", "memory://user:hunter2@h?password=hunter2"]
    {
        let ran = anybroker(&["pub", url, "t"], "");
        assert_eq!(ran.code, Some(2));
        assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    }
}

#[test]
fn help_has_examples() {
    for command in [
        "pub",
        "sub",
        "guarantees",
        "topics",
        "groups",
        "lag",
        "dlq",
        "doctor",
        "profiles",
        "check",
        "brokers",
        "completions",
    ] {
        let ran = anybroker(&[command, "--help"], "");
        assert_eq!(ran.code, Some(0));
        assert!(
            ran.out.contains(&format!("anybroker {command}")) && ran.out.contains("Example"),
            "{}",
            ran.out
        );
    }
}

#[test]
fn outcomes_come_in_order_with_the_summary_last() {
    let ran = anybroker(&["pub", "memory://", "t", "--format", "json", "--key", "k"], "a\nb\n\nc");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let lines = ran.json();
    for (offset, line) in lines[..4].iter().enumerate() {
        assert_eq!((&line["outcome"], &line["position"]["offset"]), (&json!("ok"), &json!(offset)));
        assert!(line["id"].is_string());
    }
    assert_eq!(ran.out.lines().last(), Some(r#"{"published":4,"ok":4,"failed":0,"unknown":0}"#));
    assert!(ran.err.contains("nothing is kept"));
}

#[test]
fn a_bad_line_fails_alone_and_is_named() {
    let input = "{\"id\":\"a\",\"k\":1}\nnonsense\n{\"id\":\"c\"}\n\n{\"id\":\"d\",\"k\":\"x\"}\n";
    let args = ["pub", "memory://", "t", "--id-field", "id", "--key-field", "k", "--format", "json"];
    let ran = anybroker(&args, input);
    assert_eq!(ran.code, Some(1));
    let lines = ran.json();
    let outcomes: Vec<_> =
        lines[..4].iter().map(|l| (l["id"].as_str(), l["outcome"].as_str().unwrap())).collect();
    assert_eq!(outcomes, [(Some("a"), "ok"), (None, "failed"), (None, "failed"), (Some("d"), "ok")]);
    assert_eq!(lines[4], json!({"published": 4, "ok": 2, "failed": 2, "unknown": 0}));
    assert!(ran.err.contains("line 2:") && ran.err.contains("line 3: it has no field `k`"), "{}", ran.err);
}

#[test]
fn a_failure_holds_its_key_and_no_other() {
    let reserved = r#"{"id":"1","key":"k","headers":{"ce_id":"x"},"payload":"x"}"#;
    let (same, other) = (r#"{"id":"2","key":"k","payload":"x"}"#, r#"{"id":"3","key":"o","payload":"x"}"#);
    let input = [reserved, same, other].join("\n");
    let ran = anybroker(&["pub", "memory://", "t", "--input", "envelope", "--format", "json"], input);
    assert_eq!(ran.code, Some(1));
    let outcomes: Vec<_> = ran.json()[..3].iter().map(|l| l["outcome"].clone()).collect();
    assert_eq!(outcomes, ["failed", "failed", "ok"]);
    assert!(ran.err.contains("line 1:") && ran.err.contains("1 messages were not sent"), "{}", ran.err);
}

#[test]
fn large_files_go_through() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let input: String = (0..50_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    std::io::Write::write_all(&mut file, input.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let ran = anybroker(&["pub", "memory://", "t", "--input", "json", path], "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "published 50000: 50000 ok, 0 failed, 0 unknown\n"));
}

#[test]
fn an_idle_subscription_ends() {
    let ran = anybroker(&["sub", "memory://", "t", "--group", "g", "--idle", "0.2", "--format", "json"], "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""));
}

#[test]
fn guarantees_are_held_against_requirements() {
    let met =
        ["guarantees", "memory://", "--require", "ordering=key,delivery=at-least-once", "--format", "json"];
    let ran = anybroker(&met, "");
    assert_eq!(ran.code, Some(0));
    let answer = &ran.json()[0];
    assert_eq!(answer["backend"], "memory");
    assert_eq!(answer["guarantees"]["ordering"]["value"], "key");
    assert_eq!(answer["guarantees"]["ordering"]["basis"], "client");
    assert_eq!(answer["unmet"], json!([]));

    let ran = anybroker(
        &["guarantees", "memory://", "--require", "durability-on-confirm=fsync", "--format", "json"],
        "",
    );
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.json()[0]["unmet"][0]["name"], "durability-on-confirm");

    let ran = anybroker(&["guarantees", "memory://", "--require", "durability-on-confirm=fsync"], "");
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("what would satisfy it") && !ran.out.contains('\x1b'), "{}", ran.out);
}

#[test]
fn topics_are_created_and_a_missing_one_is_named() {
    let ran = anybroker(&["topics", "create", "memory://", "t", "--groups", "a,b", "--format", "json"], "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "{\"topic\":\"t\",\"done\":\"created\"}\n"));
    let ran = anybroker(&["topics", "delete", "memory://", "missing"], "");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("missing"), "{}", ran.err);
    assert_eq!(anybroker(&["topics", "list", "memory://"], "").code, Some(0));
}

#[test]
fn brokers_that_do_not_run_are_said_to_be_down() {
    let state = tempfile::tempdir().unwrap();
    let brokers = |args: &[&str]| {
        let state = ["--state", state.path().to_str().unwrap(), "--format", "json"];
        anybroker(&[&["brokers"], args, &state].concat(), "")
    };
    let ran = brokers(&["status", "kafka"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!((&ran.json()[0]["name"], &ran.json()[0]["state"]), (&json!("kafka"), &json!("down")));
    assert_eq!(brokers(&["kill"]).code, Some(0), "none runs, so none is killed");
    for (args, hint) in [(["kill", "kafka"], "brokers up kafka"), (["up", "kafak"], "possible values: kafka")]
    {
        let ran = brokers(&args);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
        assert!(ran.err.contains(hint), "{}", ran.err);
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = anybroker(&["completions", shell], "");
        assert_eq!(ran.code, Some(0));
        assert!(ran.out.contains("guarantees"), "{shell}");
    }
}

const HEADER: &str =
    r#"{"history":"anybroker/1","backend":"test","epsilon_ms":50,"promises":{"P7":{"scope":"key"}}}"#;

/// Two messages of one key, delivered in the order given.
fn history(first: &str, second: &str) -> String {
    let publish = |t: u32, m: &str| {
        format!(r#"{{"t":{t},"e":"publish","m":"{m}","publisher":"p","topic":"t","key":"k","hash":"h"}}"#)
    };
    let published = |t: u32, m: &str| format!(r#"{{"t":{t},"e":"published","m":"{m}","outcome":"ok"}}"#);
    let deliver = |t: u32, m: &str| {
        format!(
            r#"{{"t":{t},"e":"deliver","d":"d{t}","m":"{m}","session":"s","key":"k","hash":"h","redelivered":false,"attempt":1}}"#
        )
    };
    let lines = [
        HEADER.to_owned(),
        publish(1, "m1"),
        published(2, "m1"),
        publish(3, "m2"),
        published(4, "m2"),
        r#"{"t":5,"e":"open","session":"s","consumer":"c","group":"g","topic":"t","start":"earliest"}"#
            .to_owned(),
        deliver(6, first),
        deliver(7, second),
    ];
    lines.join("\n")
}

#[test]
fn a_history_in_order_passes() {
    let ran = anybroker(&["check", "-", "--format", "json"], history("m1", "m2"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.json()[0]["properties"]["P7"]["verdict"], "pass");
}

#[test]
fn a_history_out_of_order_is_exit_code_1_and_is_explained() {
    let ran = anybroker(&["check", "-", "--format", "json"], history("m2", "m1"));
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let report = &ran.json()[0];
    assert_eq!(
        (&report["verdict"], &report["properties"]["P1"]["verdict"]),
        (&json!("violation"), &json!("not_promised"))
    );
    assert_eq!(report["properties"]["P7"]["violations"][0]["messages"], json!(["m1", "m2"]));

    let ran = anybroker(&["check", "-"], history("m2", "m1"));
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("verdict: violation") && ran.out.contains("key k"), "{}", ran.out);
}

#[test]
fn a_malformed_history_is_exit_code_2_and_names_the_line() {
    let ran = anybroker(&["check", "-"], format!("{HEADER}\nnonsense\n"));
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("line 2"), "{}", ran.err);
    assert_eq!(anybroker(&["check", "/no/such/file"], "").code, Some(2));
}

#[test]
fn strict_wants_proof() {
    let nothing = format!("{HEADER}\n");
    assert_eq!(anybroker(&["check", "-"], &nothing).code, Some(0));
    assert_eq!(anybroker(&["check", "-", "--strict"], &nothing).code, Some(1));
}
