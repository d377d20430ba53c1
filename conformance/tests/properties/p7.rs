use anybroker_conformance::history::{Order, OrderScope, Outcome, Sketch};
use anybroker_conformance::properties::{Property, Verdict};

use super::{finding, passes, promising, says, violates};

fn sketch(scope: OrderScope) -> Sketch {
    promising(|promises| promises.p7 = Some(Order { scope }))
}

/// `m1` and `m2` of one publisher with these keys, then delivered in this order.
fn two(scope: OrderScope, keys: [&str; 2], order: [&str; 2]) -> Sketch {
    let published = sketch(scope).open("s").keyed("m1", keys[0]).keyed("m2", keys[1]).ok("m1").ok("m2");
    published.deliver("d1", order[0], "s").deliver("d2", order[1], "s")
}

#[test]
fn messages_in_line() {
    passes(&two(OrderScope::Key, ["k", "k"], ["m1", "m2"]), Property::P7, 1);
    passes(&two(OrderScope::Total, ["k", "l"], ["m1", "m2"]), Property::P7, 1);
}

#[test]
fn a_key_out_of_order() {
    let swapped = two(OrderScope::Key, ["k", "k"], ["m2", "m1"]);
    let explanation = "key k: m2 first delivered before m1";
    violates(&swapped, Property::P7, &["m1", "m2"], &[3, 4, 7, 8], explanation);
}

#[test]
fn scopes_compare_what_is_in_them() {
    says(&two(OrderScope::Key, ["k", "l"], ["m2", "m1"]), Property::P7, Verdict::NotExercised);
    for (scope, prefix) in [
        (OrderScope::Publisher, "publisher p: "),
        (OrderScope::Queue, "consumer consumer s: "),
        (OrderScope::Total, ""),
    ] {
        let swapped = two(scope, ["k", "l"], ["m2", "m1"]);
        let explanation = format!("{prefix}m2 first delivered before m1");
        violates(&swapped, Property::P7, &["m1", "m2"], &[3, 4, 7, 8], &explanation);
    }
}

#[test]
fn null_keys_are_outside_scope_key() {
    let sketch = sketch(OrderScope::Key).open("s").publish("m1").publish("m2").ok("m1").ok("m2");
    says(&sketch.deliver("d1", "m2", "s").deliver("d2", "m1", "s"), Property::P7, Verdict::NotExercised);
}

#[test]
fn partitions_are_known_from_receipts_or_deliveries() {
    let published = sketch(OrderScope::Partition).open("s").publish("m1").publish("m2");
    let receipts =
        published.clone().ok_at("m1", 1).ok_at("m2", 0).deliver("d1", "m2", "s").deliver("d2", "m1", "s");
    let explanation = "partition 0: m2 first delivered before m1";
    violates(&receipts, Property::P7, &["m1", "m2"], &[3, 4, 7, 8], explanation);
    let confirmed = published.ok("m1").ok("m2");
    let deliveries = confirmed.clone().deliver_at("d1", "m2", "s", 0).deliver_at("d2", "m1", "s", 1);
    violates(&deliveries, Property::P7, &["m1", "m2"], &[3, 4, 7, 8], explanation);
    says(&confirmed.deliver("d1", "m2", "s").deliver("d2", "m1", "s"), Property::P7, Verdict::NotExercised);
}

/// `m1` of publisher p and `m2` of publisher q, one after the other or at the same time, delivered in reverse.
fn two_publishers(scope: OrderScope, after: bool) -> Sketch {
    let first = sketch(scope).open("s").keyed("m1", "k");
    let first = if after { first.ok("m1") } else { first };
    let second = first.publish_as("m2", |it| {
        it.publisher = "q".into();
        it.key = Some("k".into());
    });
    let second = if after { second } else { second.ok("m1") };
    second.ok("m2").deliver("d1", "m2", "s").deliver("d2", "m1", "s")
}

#[test]
fn several_publishers_are_in_line_only_if_one_came_after_the_other() {
    let explanation = "key k: m2 first delivered before m1";
    let after = two_publishers(OrderScope::Key, true);
    violates(&after, Property::P7, &["m1", "m2"], &[4, 5, 7, 8], explanation);
    says(&two_publishers(OrderScope::Key, false), Property::P7, Verdict::NotExercised);
    says(&two_publishers(OrderScope::Publisher, true), Property::P7, Verdict::NotExercised);
}

#[test]
fn only_confirmed_messages_are_compared() {
    let sketch = sketch(OrderScope::Total).open("s").publish("m1").publish("m2").ok("m2");
    let sketch = sketch.published("m1", Outcome::Unknown).deliver("d1", "m2", "s").deliver("d2", "m1", "s");
    says(&sketch, Property::P7, Verdict::NotExercised);
}

#[test]
fn a_transaction_confirms_when_it_is_committed() {
    let inside = |m| {
        move |it: &mut anybroker_conformance::history::Publish<'static>| {
            it.transaction = Some("x".into());
            it.hash = format!("hash of {m}").into();
        }
    };
    let sent = sketch(OrderScope::Total).open("s").begin("x");
    let sent = sent.publish_as("m1", inside("m1")).publish_as("m2", inside("m2")).commit("x");
    let swapped = |sketch: Sketch| sketch.deliver("d1", "m2", "s").deliver("d2", "m1", "s");
    let committed = swapped(sent.clone().transaction_end("x", Outcome::Ok));
    assert_eq!(finding(&committed, Property::P7).verdict, Verdict::Violation);
    says(&swapped(sent.transaction_end("x", Outcome::Unknown)), Property::P7, Verdict::NotExercised);
}

#[test]
fn a_message_that_never_came_is_not_compared() {
    let sketch = sketch(OrderScope::Total).open("s").publish("m1").publish("m2").ok("m1").ok("m2");
    says(&sketch.deliver("d1", "m2", "s").drained(), Property::P7, Verdict::NotExercised);
}

#[test]
fn only_first_deliveries_count() {
    let sketch = two(OrderScope::Key, ["k", "k"], ["m1", "m2"]).nack("d1").deliver("d3", "m1", "s");
    passes(&sketch, Property::P7, 1);
}

#[test]
fn a_message_whose_first_delivery_died_unseen_is_not_compared() {
    let published = sketch(OrderScope::Total).open("s").publish("m1").publish("m2").ok("m1").ok("m2");
    let published = published.deliver("d1", "m2", "s");
    let flagged = published.clone().deliver_as("d2", "m1", "s", |it| it.redelivered = Some(true));
    says(&flagged, Property::P7, Verdict::NotExercised);
    let counted = published.clone().deliver_as("d2", "m1", "s", |it| it.attempt = Some(2));
    says(&counted, Property::P7, Verdict::NotExercised);
    let fresh = published.deliver_as("d2", "m1", "s", |it| it.attempt = Some(1));
    assert_eq!(finding(&fresh, Property::P7).verdict, Verdict::Violation);
}

#[test]
fn scope_queue_compares_within_a_consumer() {
    let published =
        sketch(OrderScope::Queue).open("s").open("s2").publish("m1").publish("m2").ok("m1").ok("m2");
    let across = published.clone().deliver("d1", "m2", "s").deliver("d2", "m1", "s2");
    says(&across, Property::P7, Verdict::NotExercised);
    let within = published.deliver("d1", "m2", "s2").deliver("d2", "m1", "s2");
    assert_eq!(finding(&within, Property::P7).verdict, Verdict::Violation);
}

#[test]
fn groups_are_apart() {
    let published = sketch(OrderScope::Total).open("s").open_as("s2", |it| it.group = "h".into());
    let published = published.publish("m1").publish("m2").ok("m1").ok("m2").deliver("d1", "m1", "s");
    let sketch = published.deliver("d2", "m2", "s2").deliver("d3", "m1", "s2").deliver("d4", "m2", "s");
    let explanation = "m2 first delivered before m1 in group h";
    violates(&sketch, Property::P7, &["m1", "m2"], &[4, 5, 9, 10], explanation);
    assert_eq!(finding(&sketch, Property::P7).opportunities, 2);
}

#[test]
fn each_message_that_came_too_early_is_told_once() {
    let mut sketch = sketch(OrderScope::Total).open("s");
    for m in ["m1", "m2", "m3", "m4"] {
        sketch = sketch.publish(m).ok(m);
    }
    for (d, m) in [("d1", "m2"), ("d2", "m3"), ("d3", "m1"), ("d4", "m4")] {
        sketch = sketch.deliver(d, m, "s");
    }
    let finding = finding(&sketch, Property::P7);
    assert_eq!((finding.opportunities, finding.violation_count()), (6, 2));
    assert_eq!(finding.violations[1].messages, ["m1", "m3"]);
}
