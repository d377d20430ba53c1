use anybroker_conformance::history::{Lease, Sketch, Window};
use anybroker_conformance::properties::{Property, Verdict};

use super::{finding, passes, promising, violates};

/// `m1` to `m3`, the first two delivered; at most two may be unsettled.
fn two_held(lease_ms: Option<u64>) -> Sketch {
    let sketch = promising(|promises| {
        promises.p6 = Some(Lease { lease_ms });
        promises.p13 = Some(Window { bound: 2 });
    });
    let sketch = sketch.open("s").open("s2").publish("m1").publish("m2").publish("m3");
    sketch.deliver("d1", "m1", "s").deliver("d2", "m2", "s")
}

#[test]
fn a_third_unsettled_delivery() {
    passes(&two_held(None), Property::P13, 2);
    let explanation = "consumer s held 3 unsettled deliveries, more than 2";
    let third = two_held(None).deliver("d3", "m3", "s");
    violates(&third, Property::P13, &["m1", "m2", "m3"], &[7, 8, 9], explanation);
}

#[test]
fn settling_makes_room_at_once() {
    passes(&two_held(None).ack("d1").deliver("d3", "m3", "s"), Property::P13, 3);
    passes(&two_held(None).nack("d2").deliver("d3", "m3", "s"), Property::P13, 3);
}

#[test]
fn every_consumer_has_its_own_window() {
    passes(&two_held(None).deliver("d3", "m3", "s2"), Property::P13, 3);
    let again =
        two_held(None).open_as("s3", |it| it.consumer = "consumer s".into()).deliver("d3", "m3", "s3");
    assert_eq!(finding(&again, Property::P13).verdict, Verdict::Violation);
}

#[test]
fn a_session_end_lease_end_or_next_delivery_makes_room() {
    let reopened = two_held(None).close("s").open_as("s3", |it| it.consumer = "consumer s".into());
    passes(&reopened.deliver("d3", "m3", "s3"), Property::P13, 3);
    passes(&two_held(Some(50)).wait(50).deliver("d3", "m3", "s"), Property::P13, 3);
    let unlapsed = two_held(Some(50)).wait(40).deliver("d3", "m3", "s");
    assert_eq!(finding(&unlapsed, Property::P13).verdict, Verdict::Violation);
    passes(&two_held(None).deliver("d3", "m1", "s2").deliver("d4", "m3", "s"), Property::P13, 4);
}
