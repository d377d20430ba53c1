use anybroker_conformance::history::{Assign, Event, Exclusive, OrderScope, Sketch};
use anybroker_conformance::properties::{Property, Verdict};

use super::{finding, passes, promising, says, violates};

fn sketch(scope: OrderScope, lease_ms: Option<u64>) -> Sketch {
    let sketch = promising(|promises| promises.p8 = Some(Exclusive { scope, lease_ms }));
    sketch.open("s").open("s2").keyed("m1", "k").keyed("m2", "k").keyed("m3", "l")
}

fn held() -> Sketch {
    sketch(OrderScope::Key, None).deliver_at("d1", "m1", "s", 0)
}

const BOTH: &str = "key k: m2 was delivered to consumer s2 while consumer s held m1";

#[test]
fn two_consumers_hold_a_key() {
    violates(&held().deliver("d2", "m2", "s2"), Property::P8, &["m1", "m2"], &[7, 8], BOTH);
    let released = held().deliver("d2", "m2", "s2").ack("d1");
    violates(&released, Property::P8, &["m1", "m2"], &[7, 8, 9], BOTH);
}

#[test]
fn holds_that_touch_are_disjoint() {
    passes(&held().ack("d1").deliver("d2", "m2", "s2"), Property::P8, 1);
    passes(&held().nack("d1").deliver("d2", "m1", "s2"), Property::P8, 1);
    passes(&held().close("s").deliver("d2", "m1", "s2"), Property::P8, 1);
}

#[test]
fn a_revocation_of_the_partition_ends_the_hold() {
    let revoke = |partition| Event::Revoke(Assign { session: "s".into(), partitions: vec![partition] });
    passes(&held().event(revoke(0)).deliver("d2", "m2", "s2"), Property::P8, 1);
    let other = held().event(revoke(1)).deliver("d2", "m2", "s2");
    assert_eq!(finding(&other, Property::P8).verdict, Verdict::Violation);
}

#[test]
fn the_lease_ends_the_hold() {
    let held = |wait| sketch(OrderScope::Key, Some(100)).deliver("d1", "m1", "s").wait(wait);
    passes(&held(100).deliver("d2", "m2", "s2"), Property::P8, 1);
    assert_eq!(finding(&held(99).deliver("d2", "m2", "s2"), Property::P8).verdict, Verdict::Violation);
}

#[test]
fn one_consumer_may_hold_many_in_many_sessions() {
    says(&held().deliver("d2", "m2", "s"), Property::P8, Verdict::NotExercised);
    let again = held().open_as("s3", |it| it.consumer = "consumer s".into()).deliver("d2", "m2", "s3");
    says(&again, Property::P8, Verdict::NotExercised);
}

#[test]
fn other_scopes_and_groups_are_apart() {
    says(&held().deliver("d2", "m3", "s2"), Property::P8, Verdict::NotExercised);
    let queue = sketch(OrderScope::Queue, None).deliver("d1", "m1", "s").deliver("d2", "m3", "s2");
    assert_eq!(finding(&queue, Property::P8).verdict, Verdict::Violation);
    let groups = held().open_as("s3", |it| it.group = "h".into()).deliver("d2", "m2", "s3");
    says(&groups, Property::P8, Verdict::NotExercised);
    let dead = held().deliver_as("d2", "m2", "s2", |it| it.dead_letter = Some(true));
    says(&dead, Property::P8, Verdict::NotExercised);
}

#[test]
fn the_longest_hold_is_remembered() {
    let sketch = held().deliver("d2", "m2", "s").ack("d2").deliver("d3", "m2", "s2");
    let explanation = "key k: m2 was delivered to consumer s2 while consumer s held m1";
    violates(&sketch, Property::P8, &["m1", "m2"], &[7, 10], explanation);
    assert_eq!(finding(&sketch, Property::P8).opportunities, 2);
}
