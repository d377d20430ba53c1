//! Every format error, with its line and a word of its reason.

use anybroker_conformance::history::{MAX_LINE, read};

use super::{HEADER, below_header};

const PUBLISH: &str = r#"{"t":1,"e":"publish","m":"m","publisher":"p","topic":"t","key":null,"hash":"h"}"#;
const OPEN: &str =
    r#"{"t":1,"e":"open","session":"s","consumer":"c","group":"g","topic":"t","start":"earliest"}"#;
const DELIVER: &str = r#"{"t":1,"e":"deliver","d":"d","m":"m","session":"s","key":null,"hash":"h"}"#;
const SETTLE: &str = r#"{"t":1,"e":"settle","d":"d","verdict":"ack"}"#;

fn refuses(file: &[u8], line: u64, reason: &str) {
    let error = read(file).expect_err("refused");
    let text = error.to_string();
    assert_eq!(error.line, line, "{text}");
    assert!(text.contains(reason), "{text:?} says nothing of {reason:?}");
}

/// Lines below the header, the last of which is refused.
fn refuses_last(lines: &[&str], reason: &str) {
    refuses(below_header(&lines.join("\n")).as_bytes(), lines.len() as u64 + 1, reason);
}

fn refuses_header(header: &str, reason: &str) {
    refuses(header.as_bytes(), 1, reason);
}

fn promises(promises: &str) -> String {
    format!(r#"{{"history":"anybroker/1","backend":"b","epsilon_ms":0,"promises":{promises}}}"#)
}

#[test]
fn a_file_without_a_header() {
    refuses(b"", 1, "empty");
    refuses(b"\n\n", 1, "empty");
    refuses_header(PUBLISH, "missing field");
    refuses_header("[]", "object");
    refuses_header(r#"{"history":"anybroker/2","backend":"b","epsilon_ms":0,"promises":{}}"#, "anybroker/2");
    refuses_header(r#"{"history":"anybroker/1","epsilon_ms":0,"promises":{}}"#, "backend");
    refuses_header(r#"{"history":"anybroker/1","backend":"b","promises":{}}"#, "epsilon_ms");
    refuses_header(r#"{"history":"anybroker/1","backend":"b","epsilon_ms":0}"#, "promises");
}

#[test]
fn promises_that_are_not_in_the_table() {
    refuses_header(&promises(r#"{"P99":{}}"#), "P99");
    refuses_header(&promises(r#"{"P7":{"scope":"galaxy"}}"#), "galaxy");
    refuses_header(&promises(r#"{"P7":{}}"#), "scope");
    refuses_header(&promises(r#"{"P7r":{}}"#), "scope");
    refuses_header(&promises(r#"{"P6":{}}"#), "lease_ms");
    refuses_header(&promises(r#"{"P8":{"scope":"key"}}"#), "lease_ms");
    refuses_header(&promises(r#"{"P9":{}}"#), "mark");
    refuses_header(&promises(r#"{"P9":{"mark":"star"}}"#), "star");
    refuses_header(&promises(r#"{"P10":{"limit":3}}"#), "dead_letter");
    refuses_header(&promises(r#"{"P10":{"dead_letter":"none"}}"#), "limit");
    refuses_header(&promises(r#"{"P11":{}}"#), "window_ms");
    refuses_header(&promises(r#"{"P13":{}}"#), "bound");
    refuses_header(&promises(r#"{"P17":{}}"#), "within_ms");
    refuses_header(&promises(r#"{"P1":null}"#), "object");
    refuses_header(&promises(r#"{"P1":[]}"#), "object");
    refuses_header(&promises(r#"[]"#), "object");
    refuses_header(&promises(r#"{"P1":{},"P1":{}}"#), "duplicate");
}

#[test]
fn lines_that_are_not_objects() {
    for (line, reason) in [
        ("nonsense", "expected"),
        ("[]", "object"),
        ("7", "object"),
        (r#"{"t":1,"e":"drained""#, "EOF"),
        (r#"{"t":1,"e":"fault","kind":"k","target":"x"} {}"#, "trailing"),
        (r#"{"t":1,"e":"fault","kind":"k","target":NaN}"#, "expected"),
        (r#"{"t":1,"e":"fault","kind":"k","target":"x","unknown":NaN}"#, "expected"),
        (r#"{"t":1,"t":1,"e":"fault","kind":"k","target":"x"}"#, "duplicate"),
        (r#"{"t":1,"e":"fault","kind":"\ud800","target":"x"}"#, "hex escape"),
    ] {
        refuses_last(&[line], reason);
    }
}

#[test]
fn bytes_that_are_not_plain_utf8() {
    refuses(format!("\u{feff}{HEADER}").as_bytes(), 1, "byte order mark");
    let mut file = below_header(r#"{"t":1,"e":"fault","kind":"k","target":"x","unknown":""#).into_bytes();
    file.extend(b"\xff\"}");
    refuses(&file, 2, "UTF-8");
    let utf16: Vec<u8> = HEADER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    refuses(&utf16, 1, "key must be a string");
}

#[test]
fn lines_that_are_too_long_or_too_deep() {
    let long = format!(r#"{{"t":1,"e":"fault","kind":"k","target":"{}"}}"#, "x".repeat(MAX_LINE));
    refuses_last(&[&long], "1 MiB");
    let deep = |levels: usize| {
        let nested = "[".repeat(levels) + &"]".repeat(levels);
        format!(r#"{{"t":1,"e":"fault","kind":"k","target":"x","unknown":{nested}}}"#)
    };
    read(below_header(&deep(127)).as_bytes()).unwrap();
    refuses_last(&[&deep(128)], "128");
    refuses_last(&[&"[".repeat(MAX_LINE)], "128");
    let header = HEADER.replace("\"b\"", &format!("\"b\",\"unknown\":{}", "{\"a\":".repeat(200)));
    refuses_header(&header, "128");
}

#[test]
fn times_that_are_none() {
    for t in ["-1", "1.5", "1e3", "9223372036854775808", "\"1\"", "null", "1e400"] {
        let line = format!(r#"{{"t":{t},"e":"fault","kind":"k","target":"x"}}"#);
        assert!(read(below_header(&line).as_bytes()).is_err(), "{t}");
    }
    refuses_last(&[r#"{"t":9223372036854775808,"e":"fault","kind":"k","target":"x"}"#], "2^63");
    refuses_last(&[r#"{"e":"fault","kind":"k","target":"x"}"#], "missing field `t`");
    let later = r#"{"t":5,"e":"fault","kind":"k","target":"x"}"#;
    refuses_last(&[later, PUBLISH], "backwards, from 5 to 1");
}

#[test]
fn kinds_and_values_outside_their_lists() {
    refuses_last(&[r#"{"t":1,"e":"teleport"}"#], "teleport");
    refuses_last(&[r#"{"t":1}"#], "missing field `e`");
    refuses_last(&[r#"{"t":1,"e":null}"#], "null");
    refuses_last(&[PUBLISH, r#"{"t":1,"e":"published","m":"m","outcome":"great"}"#], "great");
    refuses_last(&[&OPEN.replace("earliest", "tomorrow")], "tomorrow");
    refuses_last(&[OPEN, r#"{"t":1,"e":"close","session":"s","cause":"bored"}"#], "bored");
    refuses_last(&[OPEN, DELIVER, &SETTLE.replace("ack", "shrug")], "shrug");
}

#[test]
fn fields_that_are_missing_or_of_another_type() {
    for field in ["m", "publisher", "topic", "key", "hash"] {
        refuses_last(&[&PUBLISH.replace(&format!("\"{field}\":"), "\"other\":")], field);
    }
    for field in ["d", "m", "session", "key", "hash"] {
        refuses_last(&[OPEN, &DELIVER.replace(&format!("\"{field}\":"), "\"other\":")], field);
    }
    for field in ["session", "consumer", "group", "topic", "start"] {
        refuses_last(&[&OPEN.replace(&format!("\"{field}\":"), "\"other\":")], field);
    }
    refuses_last(&[PUBLISH, r#"{"t":1,"e":"published","m":"m"}"#], "outcome");
    refuses_last(&[OPEN, r#"{"t":1,"e":"assign","session":"s"}"#], "partitions");
    refuses_last(&[r#"{"t":1,"e":"fault","kind":"kill"}"#], "target");
    refuses_last(&[PUBLISH, r#"{"t":1,"e":"evicted","m":"m"}"#], "why");
    refuses_last(&[r#"{"t":1,"e":"begin","transaction":"x"}"#], "publisher");
    refuses_last(&[&PUBLISH.replace("\"m\":\"m\"", "\"m\":7")], "integer");
    let position = |it: &str| format!(r#"{{"t":1,"e":"published","m":"m","outcome":"ok","position":{it}}}"#);
    refuses_last(&[PUBLISH, &position(r#"{"partition":0}"#)], "offset");
    refuses_last(&[PUBLISH, &position(r#"{"partition":4294967295,"offset":1}"#)], "2^31");
    refuses_last(&[PUBLISH, &position(r#"{"partition":0,"offset":-1}"#)], "-1");
    refuses_last(&[PUBLISH, &position("[0,1]")], "object");
}

#[test]
fn references_to_what_was_not_introduced() {
    refuses_last(&[r#"{"t":1,"e":"published","m":"m","outcome":"ok"}"#], "message \"m\" was not introduced");
    refuses_last(&[OPEN, DELIVER, r#"{"t":1,"e":"published","m":"m","outcome":"ok"}"#], "message");
    refuses_last(&[r#"{"t":1,"e":"evicted","m":"m","why":"w"}"#], "message");
    refuses_last(&[PUBLISH, DELIVER], "session \"s\"");
    refuses_last(&[SETTLE], "delivery \"d\"");
    refuses_last(&[r#"{"t":1,"e":"settled","d":"d","outcome":"ok"}"#], "delivery");
    refuses_last(&[r#"{"t":1,"e":"close","session":"s","cause":"closed"}"#], "session");
    refuses_last(&[r#"{"t":1,"e":"assign","session":"s","partitions":[]}"#], "session");
    refuses_last(&[r#"{"t":1,"e":"revoke","session":"s","partitions":[0]}"#], "session");
    refuses_last(&[r#"{"t":1,"e":"commit","transaction":"x","publisher":"p"}"#], "transaction \"x\"");
    refuses_last(&[r#"{"t":1,"e":"abort","transaction":"x","publisher":"p"}"#], "transaction");
    let end = r#"{"t":1,"e":"transaction_end","transaction":"x","publisher":"p","outcome":"ok"}"#;
    refuses_last(&[end], "transaction");
    refuses_last(&[&PUBLISH.replace("\"h\"", r#""h","transaction":"x""#)], "transaction");
    refuses_last(&[PUBLISH, OPEN, DELIVER, &SETTLE.replace("}", r#","transaction":"x"}"#)], "transaction");
    refuses_last(&[OPEN, r#"{"t":1,"e":"drained","group":"other","topic":"t"}"#], "group \"other\"");
    refuses_last(&[OPEN, r#"{"t":1,"e":"drained","group":"g","topic":"other"}"#], "group");
}

#[test]
fn what_is_introduced_or_comes_back_twice() {
    refuses_last(&[PUBLISH, PUBLISH], "message \"m\" was introduced");
    refuses_last(&[OPEN, OPEN], "session");
    refuses_last(&[PUBLISH, OPEN, DELIVER, DELIVER], "delivery");
    let begin = r#"{"t":1,"e":"begin","transaction":"x","publisher":"p"}"#;
    refuses_last(&[begin, begin], "transaction");
    let published = r#"{"t":1,"e":"published","m":"m","outcome":"unknown"}"#;
    refuses_last(&[PUBLISH, published, published], "second outcome of message");
    let settled = r#"{"t":1,"e":"settled","d":"d","outcome":"ok"}"#;
    refuses_last(&[PUBLISH, OPEN, DELIVER, SETTLE, settled, settled], "second outcome of delivery");
    refuses_last(&[PUBLISH, OPEN, DELIVER, settled], "before any settle");
    let end = r#"{"t":1,"e":"transaction_end","transaction":"x","publisher":"p","outcome":"ok"}"#;
    refuses_last(&[begin, end, end], "second outcome of transaction");
}

#[test]
fn a_delivery_to_a_closed_session() {
    let close = r#"{"t":1,"e":"close","session":"s","cause":"killed"}"#;
    refuses_last(&[PUBLISH, OPEN, close, DELIVER], "session \"s\" was closed");
}
