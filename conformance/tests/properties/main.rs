//! Every property on small histories: that pass, that violate it, that don't say, that never try it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may end where it goes wrong")]

mod p1;
mod p10;
mod p11;
mod p11b;
mod p12;
mod p13;
mod p14;
mod p15;
mod p16;
mod p17;
mod p2;
mod p3;
mod p3p;
mod p4;
mod p5;
mod p6;
mod p6b;
mod p7;
mod p7r;
mod p8;
mod p9;
mod speed;

use anybroker_conformance::history::{Promises, Sketch};
use anybroker_conformance::properties::{Finding, Property, Verdict, check};

/// What a check finds of `property`.
pub fn finding(sketch: &Sketch, property: Property) -> Finding {
    let history = sketch.read().unwrap();
    check(&history).properties.remove(&property).unwrap()
}

/// The property was tried so many times and held.
#[track_caller]
pub fn passes(sketch: &Sketch, property: Property, opportunities: u64) {
    let finding = finding(sketch, property);
    assert_eq!((finding.verdict, finding.opportunities), (Verdict::Pass, opportunities), "{finding:?}");
}

/// The property has this verdict, and no violations.
#[track_caller]
pub fn says(sketch: &Sketch, property: Property, verdict: Verdict) {
    let finding = finding(sketch, property);
    assert_eq!(finding.verdict, verdict, "{finding:?}");
    assert!(finding.violations.is_empty(), "{finding:?}");
}

/// The property was violated once, as these messages, lines and words show.
#[track_caller]
pub fn violates(sketch: &Sketch, property: Property, messages: &[&str], lines: &[u64], explanation: &str) {
    let finding = finding(sketch, property);
    let expected = if property == Property::P17 { Verdict::Stalled } else { Verdict::Violation };
    assert_eq!(finding.verdict, expected, "{finding:?}");
    assert_eq!(finding.violation_count(), 1, "{finding:?}");
    let violation = &finding.violations[0];
    assert_eq!(violation.messages, messages, "{violation:?}");
    assert_eq!(violation.lines, lines, "{violation:?}");
    assert_eq!(violation.explanation, explanation);
    let drawn: Vec<_> = violation.timeline.iter().map(|step| step.line).collect();
    assert_eq!(drawn, lines, "{violation:?}");
}

/// Promises of one property.
pub fn promising(promise: impl FnOnce(&mut Promises)) -> Sketch {
    let mut promises = Promises::default();
    promise(&mut promises);
    Sketch::new(promises)
}

#[test]
fn a_promise_that_is_absent_is_not_checked() {
    let sketch = Sketch::new(Promises::default()).open("s").deliver("d", "ghost", "s");
    let report = check(&sketch.read().unwrap());
    assert!(report.properties.values().all(|finding| finding.verdict == Verdict::NotPromised));
    assert_eq!((report.verdict, report.exit_code(true)), (Verdict::Pass, 0));
}

#[test]
fn the_json_form_is_as_specified() {
    let sketch = promising(|promises| promises.p1 = Some(Default::default()));
    let sketch = sketch.open("s").deliver("d", "ghost", "s");
    let json = serde_json::to_value(check(&sketch.read().unwrap())).unwrap();
    assert_eq!(json["verdict"], "violation");
    let expected = serde_json::json!({
        "verdict": "violation",
        "opportunities": 1,
        "violations": [{
            "messages": ["ghost"],
            "lines": [3],
            "explanation": "ghost was delivered but never published",
        }],
    });
    assert_eq!(json["properties"]["P1"], expected);
    assert_eq!(json["properties"]["P2"]["verdict"], "not_promised");
    assert_eq!(json["properties"].as_object().unwrap().len(), Property::ALL.len());
}

#[test]
fn the_text_form_has_the_table_and_the_timeline() {
    let sketch = promising(|promises| promises.p1 = Some(Default::default()));
    let sketch = sketch.publish("m1").open("s").deliver_as("d", "m1", "s", |it| it.hash = "other".into());
    let text = check(&sketch.read().unwrap()).to_string();
    assert!(
        text.contains("P1    no phantom                           violation                   1  1\n"),
        "{text}"
    );
    assert!(
        text.contains("P1: m1 was delivered with another payload than it was published with\n"),
        "{text}"
    );
    assert!(text.contains("  line 2                 1.000 ms  p publishes m1\n"), "{text}");
    assert!(text.ends_with("\nverdict: violation"), "{text}");
}

#[test]
fn all_violations_are_counted_but_few_are_listed() {
    let mut sketch = promising(|promises| promises.p1 = Some(Default::default())).open("s");
    for i in 0..50 {
        sketch = sketch.deliver(&format!("d{i}"), &format!("ghost{i}"), "s");
    }
    let finding = finding(&sketch, Property::P1);
    assert_eq!((finding.violations.len(), finding.violations_total), (20, Some(50)));
}
