//! `anybroker catalogue`.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking, and so do their helpers")]

#[cfg(test)]
mod command;

use command::{Ran, anybroker};

const ORDERS: &str = r#"{"title":"shop","services":{"orders":{"publishes":[
    {"event_type":"order.placed","version":1,"topic":"orders","key":"order","size":300000,"schema":{"type":"object"}}]}}}"#;
const BILLING: &str = r#"{"title":"billing","services":{"billing":{"consumes":[
    {"event_type":"order.placed","version":1,"topic":"orders","group":"billing"}]}}}"#;

fn catalogue(files: &[&str], options: &[&str]) -> Ran {
    let place = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..files.len()).map(|at| place.path().join(format!("{at}.json"))).collect();
    paths.iter().zip(files).for_each(|(path, text)| std::fs::write(path, text).unwrap());
    let paths = paths.iter().map(|path| path.to_str().unwrap());
    let args: Vec<_> = ["catalogue"].into_iter().chain(paths).chain(options.iter().copied()).collect();
    anybroker(&args, "")
}

#[test]
fn several_files_are_one_catalogue_in_every_form() {
    let both = [ORDERS, BILLING];
    for (form, said) in [
        ("text", "───────────> billing: order.placed"),
        ("dot", "\"orders\" -> \"billing\" [label=\"order.placed\"]"),
        ("mermaid", "s1 -->|\"order.placed\"| s0"),
        ("asyncapi", "\"asyncapi\": \"3.0.0\""),
    ] {
        let ran = catalogue(&both, &["--format", form]);
        assert!(ran.code == Some(0) && ran.out.contains(said), "{form}: {ran:?}");
        assert!((ran.out.clone() + &ran.err).contains("claim check"), "{form}: {ran:?}");
    }
}

#[test]
fn warnings_can_be_denied() {
    let json = &["--format", "json", "--deny-warnings"][..];
    let ran = catalogue(&[ORDERS, BILLING], json);
    assert_eq!((ran.code, &ran.json()[0]["kind"]), (Some(1), &"large".into()));
    assert_eq!(ran.json()[1]["warnings"], 1);
    let large = [json, &["--claim-check", "300000"]].concat();
    assert_eq!(catalogue(&[ORDERS, BILLING], &large).code, Some(0));
    assert_eq!(catalogue(&[BILLING], json).json()[0]["kind"], "nobody-publishes");
}

#[test]
fn what_is_no_catalogue_is_refused() {
    let other = ORDERS.replace("300000", "1");
    for (files, said) in [
        (&["{"][..], "is no catalogue"),
        (&[r#"{"title":"x","services":{"a":{"publish":[]}}}"#][..], "publish"),
        (&[ORDERS, &other][..], "in two ways"),
    ] {
        let ran = catalogue(files, &[]);
        assert!(ran.code == Some(2) && ran.err.contains(said), "{ran:?}");
    }
}
