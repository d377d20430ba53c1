use anybroker_conformance::history::{Assign, Event, Position, Sketch};
use anybroker_conformance::properties::{Property, Verdict};

use super::{finding, passes, promising, says, violates};

fn sketch() -> Sketch {
    let sketch = promising(|promises| promises.p16 = Some(Default::default())).open("s").open("s2");
    sketch.publish("m1").publish("m2").publish("m3")
}

/// `m2` at offset 2, past `m1`, which was never delivered, or was before.
fn past(seen: bool) -> Sketch {
    let sketch = if seen { sketch().deliver_at("d1", "m1", "s", 1) } else { sketch() };
    sketch.deliver_at("d2", "m2", "s", 2)
}

#[test]
fn forward_reading() {
    passes(&past(true).deliver_at("d3", "m3", "s", 9), Property::P16, 2);
    says(&sketch().deliver("d1", "m1", "s").deliver("d2", "m2", "s"), Property::P16, Verdict::NotExercised);
}

#[test]
fn two_messages_at_one_position() {
    let reads = sketch().deliver_at("d1", "m1", "s", 7).deliver_at("d2", "m2", "s2", 7);
    violates(&reads, Property::P16, &["m1", "m2"], &[7, 8], "m1 and m2 are both at 0:7");
    let receipts = sketch().ok_at("m1", 7).ok_at("m2", 7);
    violates(&receipts, Property::P16, &["m1", "m2"], &[7, 8], "m1 and m2 are both at 0:7");
    let same_session = sketch().deliver_at("d1", "m1", "s", 7).deliver_at("d2", "m2", "s", 7);
    violates(&same_session, Property::P16, &["m1", "m2"], &[7, 8], "m1 and m2 are both at 0:7");
}

#[test]
fn receipts_of_duplicates_and_other_topics_do_not_count() {
    let position = Some(Position { partition: 0, offset: 7 });
    let duplicate = sketch().ok_at("m1", 7).published_as("m2", |it| {
        it.position = position;
        it.duplicate = Some(true);
    });
    says(&duplicate, Property::P16, Verdict::NotExercised);
    let dead = sketch().ok_at("m1", 7).deliver_as("d", "m2", "s", |it| {
        it.position = position;
        it.dead_letter = Some(true);
    });
    says(&dead, Property::P16, Verdict::NotExercised);
    let elsewhere = sketch().ok_at("m1", 7).publish_as("m4", |it| it.topic = "u".into()).ok_at("m4", 7);
    says(&elsewhere, Property::P16, Verdict::NotExercised);
}

#[test]
fn going_back_without_an_excuse() {
    let explanation = "m1 at offset 1 was delivered after m2 at 2";
    violates(&past(true).deliver_at("d3", "m1", "s", 1), Property::P16, &["m2", "m1"], &[8, 9], explanation);
    violates(&past(false).deliver_at("d3", "m1", "s", 1), Property::P16, &["m2", "m1"], &[7, 8], explanation);
    let stays = past(false).deliver_at("d3", "m2", "s", 2);
    violates(&stays, Property::P16, &["m2"], &[7, 8], "m2 at offset 2 was delivered after m2 at 2");
}

#[test]
fn going_back_to_what_was_delivered_before_with_a_cause() {
    passes(&past(true).nack("d1").deliver_at("d3", "m1", "s", 1), Property::P16, 3);
    passes(&past(true).close("s2").deliver_at("d3", "m1", "s", 1), Property::P16, 3);
    let never_seen = past(false).close("s2").deliver_at("d3", "m1", "s", 1);
    assert_eq!(finding(&never_seen, Property::P16).verdict, Verdict::Violation);
    let caused_before = past(true).nack("d1").deliver_at("d3", "m1", "s", 1).deliver_at("d4", "m1", "s", 1);
    assert_eq!(finding(&caused_before, Property::P16).verdict, Verdict::Violation);
}

#[test]
fn going_back_after_a_rebalance_nack_or_fault() {
    let assign = || Assign { session: "s".into(), partitions: vec![0] };
    passes(&past(false).event(Event::Revoke(assign())).deliver_at("d3", "m1", "s", 1), Property::P16, 1);
    passes(&past(false).event(Event::Assign(assign())).deliver_at("d3", "m1", "s", 1), Property::P16, 1);
    passes(&past(false).nack("d2").deliver_at("d3", "m1", "s", 1), Property::P16, 1);
    passes(&past(false).fault("cut").deliver_at("d3", "m1", "s", 1), Property::P16, 1);
    let other = Assign { session: "s2".into(), partitions: vec![0] };
    let other = past(false).event(Event::Assign(other)).deliver_at("d3", "m1", "s", 1);
    assert_eq!(finding(&other, Property::P16).verdict, Verdict::Violation);
}

#[test]
fn going_back_to_a_marked_redelivery() {
    let position = Some(Position { partition: 0, offset: 1 });
    let marked = past(false).deliver_as("d3", "m1", "s", |it| {
        it.position = position;
        it.redelivered = Some(true);
    });
    passes(&marked, Property::P16, 1);
}

#[test]
fn sessions_and_partitions_are_apart() {
    says(&past(false).deliver_at("d3", "m1", "s2", 1), Property::P16, Verdict::NotExercised);
    let elsewhere = Some(Position { partition: 1, offset: 1 });
    let elsewhere = past(false).deliver_as("d3", "m1", "s", |it| it.position = elsewhere);
    says(&elsewhere, Property::P16, Verdict::NotExercised);
}
