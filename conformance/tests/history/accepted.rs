//! What the format allows, although one might stumble over it.

use anybroker_conformance::history::read;

use super::below_header;

fn accepts(lines: &[&str]) {
    read(below_header(&lines.join("\n")).as_bytes()).unwrap();
}

#[test]
fn a_header_alone() {
    assert_eq!(read(below_header("").as_bytes()).unwrap().events(), 0);
    assert_eq!(read(below_header("").trim_end().as_bytes()).unwrap().events(), 0);
}

#[test]
fn blank_lines_and_carriage_returns() {
    let file = below_header("\r\n\n{\"t\":1,\"e\":\"fault\",\"kind\":\"k\",\"target\":\"x\"}\r\n\n");
    assert_eq!(read(format!("\n{file}").as_bytes()).unwrap().events(), 1);
}

#[test]
fn unknown_fields_whatever_they_hold() {
    accepts(&[
        r#"{"t":1,"e":"fault","kind":"anything","target":"x","session":7,"d":[{"m":null}],"later":1e999}"#,
        r#"{"t":1,"e":"open","session":"s","consumer":"c","group":"g","topic":"t","start":"resume","m":7}"#,
    ]);
    let header =
        r#"{"history":"anybroker/1","backend":"b","epsilon_ms":0,"promises":{"P1":{"x":1}},"seed":7}"#;
    read(header.as_bytes()).unwrap();
}

#[test]
fn optional_fields_that_are_null() {
    accepts(&[
        r#"{"t":0,"e":"publish","m":"m","publisher":"p","topic":"t","key":"k","hash":"h","dedup":null,"meta":null,"delay_ms":null,"transaction":null,"sentinel":null}"#,
        r#"{"t":0,"e":"published","m":"m","outcome":"ok","position":null,"duplicate":null}"#,
    ]);
}

#[test]
fn a_delivery_of_what_nobody_published() {
    accepts(&[
        r#"{"t":1,"e":"open","session":"s","consumer":"c","group":"g","topic":"t","start":"latest"}"#,
        r#"{"t":1,"e":"deliver","d":"d","m":"ghost","session":"s","key":null,"hash":"h"}"#,
        r#"{"t":1,"e":"publish","m":"ghost","publisher":"p","topic":"t","key":null,"hash":"h"}"#,
        r#"{"t":1,"e":"published","m":"ghost","outcome":"unknown"}"#,
    ]);
}

#[test]
fn the_greatest_time_and_escaped_text() {
    accepts(&[r#"{"t":9223372036854775807,"e":"fault","kind":"\u006bill \"x\" [","target":""}"#]);
}

#[test]
fn a_stale_settlement_after_the_session_ended() {
    accepts(&[
        r#"{"t":1,"e":"publish","m":"m","publisher":"p","topic":"t","key":null,"hash":"h"}"#,
        r#"{"t":1,"e":"open","session":"s","consumer":"c","group":"g","topic":"t","start":"latest"}"#,
        r#"{"t":1,"e":"deliver","d":"d","m":"m","session":"s","key":null,"hash":"h"}"#,
        r#"{"t":1,"e":"close","session":"s","cause":"disconnected"}"#,
        r#"{"t":1,"e":"settle","d":"d","verdict":"ack"}"#,
        r#"{"t":1,"e":"settled","d":"d","outcome":"failed"}"#,
    ]);
}
