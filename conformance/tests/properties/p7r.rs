use anybroker_conformance::history::{Lease, Order, OrderScope, Outcome, Sketch};
use anybroker_conformance::properties::{Property, Verdict};

use super::{passes, promising, says, violates};

fn sketch(scope: OrderScope, lease_ms: Option<u64>) -> Sketch {
    promising(|promises| {
        promises.p6 = Some(Lease { lease_ms });
        promises.p7r = Some(Order { scope });
    })
}

/// `m1` and `m2` of one key, the first of them delivered.
fn held(lease_ms: Option<u64>) -> Sketch {
    let sketch = sketch(OrderScope::Key, lease_ms).open("s").open("s2").keyed("m1", "k").keyed("m2", "k");
    sketch.deliver("d1", "m1", "s")
}

const OVERTAKEN: &str = "key k: m2 was delivered while m1 was to come again";

#[test]
fn a_redelivery_before_what_comes_after() {
    let nacked = held(None).nack("d1").settled("d1", Outcome::Ok);
    passes(&nacked.deliver("d2", "m1", "s").deliver("d3", "m2", "s"), Property::P7r, 1);
    says(&held(None).ack("d1").deliver("d2", "m2", "s"), Property::P7r, Verdict::NotExercised);
}

#[test]
fn a_nacked_message_that_is_overtaken() {
    let nacked =
        held(None).nack("d1").settled("d1", Outcome::Ok).deliver("d2", "m2", "s").deliver("d3", "m1", "s");
    violates(&nacked, Property::P7r, &["m1", "m2"], &[6, 8, 9, 10], OVERTAKEN);
}

#[test]
fn the_interval_begins_with_the_recorded_outcome() {
    let crossed =
        held(None).nack("d1").deliver("d2", "m2", "s").settled("d1", Outcome::Ok).deliver("d3", "m1", "s");
    passes(&crossed, Property::P7r, 1);
    let unknown = held(None).nack("d1").settled("d1", Outcome::Unknown).deliver("d2", "m2", "s");
    says(&unknown.deliver("d3", "m1", "s"), Property::P7r, Verdict::NotExercised);
}

#[test]
fn the_end_of_the_session_begins_it_too() {
    let closed = held(None).close("s").deliver("d2", "m2", "s2").deliver("d3", "m1", "s2");
    violates(&closed, Property::P7r, &["m1", "m2"], &[6, 7, 8, 9], OVERTAKEN);
}

#[test]
fn the_end_of_the_lease_begins_it_too() {
    let late = held(Some(100)).wait(101).deliver("d2", "m2", "s2").deliver("d3", "m1", "s2");
    violates(&late, Property::P7r, &["m1", "m2"], &[6, 7, 8], OVERTAKEN);
    let early = held(Some(100)).wait(99).deliver("d2", "m2", "s2").wait(5).deliver("d3", "m1", "s2");
    passes(&early, Property::P7r, 1);
}

#[test]
fn what_comes_before_or_is_outside_may_be_delivered() {
    let sketch = sketch(OrderScope::Key, None).open("s").keyed("m0", "k").keyed("m1", "k").keyed("m2", "l");
    let nacked = sketch.deliver("d1", "m1", "s").nack("d1").settled("d1", Outcome::Ok);
    let others = nacked.deliver("d2", "m0", "s").deliver("d3", "m2", "s").deliver("d4", "m1", "s");
    passes(&others, Property::P7r, 1);
}

#[test]
fn of_another_publisher_the_offset_says_what_comes_after() {
    let sketch = sketch(OrderScope::Partition, None).open("s").publish("m1");
    let sketch = sketch.publish_as("m2", |it| it.publisher = "q".into()).deliver_at("d1", "m1", "s", 5);
    let nacked = sketch.nack("d1").settled("d1", Outcome::Ok);
    let higher = nacked.clone().deliver_at("d2", "m2", "s", 6).deliver_at("d3", "m1", "s", 5);
    let overtaken = "partition 0: m2 was delivered while m1 was to come again";
    violates(&higher, Property::P7r, &["m1", "m2"], &[5, 7, 8, 9], overtaken);
    passes(&nacked.deliver_at("d2", "m2", "s", 4).deliver_at("d3", "m1", "s", 5), Property::P7r, 1);
}
