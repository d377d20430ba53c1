use anybroker_conformance::history::{Deduplication, Outcome, Sketch};
use anybroker_conformance::properties::{Property, Verdict};

use super::{finding, passes, promising, says, violates};

/// `m1` and, so many milliseconds after it, `m2` with its deduplication id.
fn twice(wait: u64) -> Sketch {
    let sketch = promising(|promises| promises.p11 = Some(Deduplication { window_ms: 100 }));
    let first = sketch.open("s").publish("m1").ok("m1").wait(wait);
    first.publish_as("m2", |it| it.dedup = Some("m1".into())).ok("m2")
}

#[test]
fn only_one_is_delivered() {
    passes(&twice(10).deliver("d1", "m1", "s").deliver("d2", "m1", "s"), Property::P11, 1);
    passes(&twice(10).deliver("d1", "m2", "s"), Property::P11, 1);
}

#[test]
fn both_are_delivered_even_to_different_groups() {
    let both = twice(10).deliver("d1", "m1", "s").deliver("d2", "m2", "s");
    let explanation = "m2 has the deduplication id of m1, and both were stored";
    violates(&both, Property::P11, &["m1", "m2"], &[3, 5, 6, 7, 8], explanation);
    let groups = twice(10).open_as("s2", |it| it.group = "h".into());
    let groups = groups.deliver("d1", "m1", "s").deliver("d2", "m2", "s2");
    assert_eq!(finding(&groups, Property::P11).verdict, Verdict::Violation);
}

#[test]
fn receipts_with_different_positions_are_two_messages() {
    let receipts = |offset| {
        let sketch = promising(|promises| promises.p11 = Some(Deduplication { window_ms: 100 }));
        let first = sketch.publish("m1").ok_at("m1", 1);
        first.publish_as("m2", |it| it.dedup = Some("m1".into())).ok_at("m2", offset)
    };
    passes(&receipts(1), Property::P11, 1);
    assert_eq!(finding(&receipts(2), Property::P11).verdict, Verdict::Violation);
}

#[test]
fn the_window_is_from_the_first_call_to_the_second_outcome() {
    let both = |wait| twice(wait).deliver("d1", "m1", "s").deliver("d2", "m2", "s");
    assert_eq!(finding(&both(97), Property::P11).verdict, Verdict::Violation);
    says(&both(98), Property::P11, Verdict::NotExercised);
}

#[test]
fn a_second_publish_counts_only_if_ok_and_a_first_unless_failed() {
    let sketch = || promising(|promises| promises.p11 = Some(Deduplication { window_ms: 100 })).open("s");
    let second = |sketch: Sketch, outcome| {
        let second = sketch.publish_as("m2", |it| it.dedup = Some("m1".into())).published("m2", outcome);
        second.deliver("d1", "m1", "s").deliver("d2", "m2", "s")
    };
    let unknown = second(sketch().publish("m1").ok("m1"), Outcome::Unknown);
    says(&unknown, Property::P11, Verdict::NotExercised);
    let failed = second(sketch().publish("m1").published("m1", Outcome::Failed), Outcome::Ok);
    says(&failed, Property::P11, Verdict::NotExercised);
    let lost_reply = second(sketch().publish("m1"), Outcome::Ok);
    assert_eq!(finding(&lost_reply, Property::P11).verdict, Verdict::Violation);
}

#[test]
fn ids_are_compared_within_a_topic() {
    let sketch = promising(|promises| promises.p11 = Some(Deduplication { window_ms: 100 }));
    let sketch = sketch.publish_as("m1", |it| it.dedup = Some("x".into())).ok("m1");
    let elsewhere = sketch.publish_as("m2", |it| {
        it.dedup = Some("x".into());
        it.topic = "u".into();
    });
    says(&elsewhere.ok("m2"), Property::P11, Verdict::NotExercised);
}

#[test]
fn a_suppressed_publish_does_not_open_a_window_of_its_own() {
    let third = twice(60).wait(60).publish_as("m3", |it| it.dedup = Some("m1".into())).ok("m3");
    passes(&third.deliver("d1", "m1", "s").deliver("d2", "m3", "s"), Property::P11, 2);
}
