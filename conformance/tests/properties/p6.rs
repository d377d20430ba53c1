use anybroker_conformance::history::{
    Assign, Event, Exclusive, Lease, Order, OrderScope, Outcome, SettleVerdict, Sketch, Start,
};
use anybroker_conformance::properties::{Property, Verdict};

use super::{finding, passes, promising, says, violates};

fn sketch() -> Sketch {
    leased(None)
}

fn leased(lease_ms: Option<u64>) -> Sketch {
    promising(|promises| promises.p6 = Some(Lease { lease_ms }))
}

fn once(sketch: Sketch) -> Sketch {
    sketch.open("s").publish("m1").deliver("d1", "m1", "s")
}

#[track_caller]
fn caused(sketch: Sketch) {
    passes(&sketch.deliver("d2", "m1", "s"), Property::P6, 1);
}

#[track_caller]
fn uncaused(sketch: Sketch) {
    assert_eq!(finding(&sketch.deliver("d2", "m1", "s"), Property::P6).verdict, Verdict::Violation);
}

#[test]
fn a_redelivery_without_a_cause() {
    says(&once(sketch()), Property::P6, Verdict::NotExercised);
    let again = once(sketch()).ack("d1").deliver("d2", "m1", "s");
    violates(&again, Property::P6, &["m1"], &[4, 5, 6], "m1 was delivered again without a cause");
}

#[test]
fn nacks_and_releases_are_causes_unless_they_failed() {
    caused(once(sketch()).nack("d1"));
    caused(once(sketch()).nack("d1").settled("d1", Outcome::Unknown));
    caused(once(sketch()).settle("d1", SettleVerdict::Release));
    uncaused(once(sketch()).nack("d1").settled("d1", Outcome::Failed));
    uncaused(once(sketch()).settle("d1", SettleVerdict::DeadLetter));
}

#[test]
fn an_acknowledgement_that_failed_is_a_cause() {
    caused(once(sketch()).ack("d1").settled("d1", Outcome::Failed));
    uncaused(once(sketch()).ack("d1").settled("d1", Outcome::Ok));
}

#[test]
fn a_session_hands_out_what_it_has_until_it_hears_that_its_partition_has_moved() {
    let moved = |exclusive, to, after| {
        let sketch = promising(|promises| {
            promises.p6 = Some(Lease { lease_ms: None });
            promises.p8 = exclusive;
        });
        let assigned =
            |session: &'static str| Event::Assign(Assign { session: session.into(), partitions: vec![0] });
        let opened = sketch.open("s").event(assigned("s")).publish("m1").open("s2").event(assigned("s2"));
        let again = opened.deliver_at("d1", "m1", "s2", 0).wait(after).deliver_at("d2", "m1", to, 0);
        finding(&again, Property::P6).verdict
    };
    let exclusive = Some(Exclusive { scope: OrderScope::Partition, lease_ms: None });
    assert_eq!(moved(None, "s", 4_000), Verdict::Pass);
    assert_eq!(moved(None, "s", 6_000), Verdict::Violation);
    assert_eq!(moved(None, "s2", 0), Verdict::Violation);
    assert_eq!(moved(exclusive, "s", 0), Verdict::Violation);
}

#[test]
fn who_does_not_know_whether_the_acknowledgement_arrived_may_give_the_delivery_back() {
    let acknowledged = |outcome| once(sketch()).ack("d1").settled("d1", outcome);
    let given_back = |outcome| acknowledged(outcome).settle("d1", SettleVerdict::Release);
    caused(given_back(Outcome::Unknown));
    caused(acknowledged(Outcome::Unknown).nack("d1"));
    uncaused(acknowledged(Outcome::Unknown));
    uncaused(given_back(Outcome::Ok));
}

#[test]
fn a_cause_explains_one_redelivery() {
    let twice = once(sketch()).nack("d1").deliver("d2", "m1", "s").deliver("d3", "m1", "s");
    violates(&twice, Property::P6, &["m1"], &[6, 7], "m1 was delivered again without a cause");
}

#[test]
fn changes_in_the_group_are_causes() {
    let partitions = || Assign { session: "s".into(), partitions: vec![9] };
    caused(once(sketch()).event(Event::Assign(partitions())));
    caused(once(sketch()).event(Event::Revoke(partitions())));
    caused(once(sketch()).open("s2"));
    uncaused(once(sketch()).open_as("s2", |it| it.start = Start::Resume));
    caused(once(sketch().open_as("s2", |it| it.start = Start::Resume)).close("s2"));
    uncaused(once(sketch()).open_as("s2", |it| it.group = "other".into()).close("s2"));
}

#[test]
fn every_fault_is_a_cause() {
    caused(once(sketch()).fault("cut"));
    caused(once(sketch()).fault("something new"));
}

#[test]
fn the_end_of_the_lease_is_a_cause_and_not_before() {
    caused(once(leased(Some(100))).wait(100));
    uncaused(once(leased(Some(100))).wait(99));
    let mut clocks = leased(Some(100));
    clocks.header.epsilon_ms = 5;
    caused(once(clocks.clone()).wait(95));
    uncaused(once(clocks).wait(94));
}

/// `m1` and `m2` delivered, one of them nacked, the other delivered again.
fn other_nacked(sketch: Sketch, key2: &str, nacked: &str, again: &str) -> Sketch {
    let published = sketch.open("s").keyed("m1", "k").keyed("m2", key2);
    let delivered = published.deliver_at("d1", "m1", "s", 0).deliver_at("d2", "m2", "s", 1);
    let again_at = if again == "m1" { 0 } else { 1 };
    delivered.nack(nacked).deliver_at("d3", again, "s", again_at)
}

#[test]
fn a_nack_of_an_earlier_message_of_the_partition_is_a_cause() {
    passes(&other_nacked(sketch(), "l", "d1", "m2"), Property::P6, 1);
    assert_eq!(finding(&other_nacked(sketch(), "k", "d2", "m1"), Property::P6).verdict, Verdict::Violation);
}

/// The same without positions, in a promised scope.
fn other_nacked_in(scope: OrderScope, key2: &str, nacked: &str, again: &str) -> Verdict {
    let sketch = promising(|promises| {
        promises.p6 = Some(Lease { lease_ms: None });
        promises.p7r = Some(Order { scope });
        promises.p8 = Some(Exclusive { scope, lease_ms: None });
    });
    let published = sketch.open("s").keyed("m1", "k").keyed("m2", key2);
    let delivered = published.deliver("d1", "m1", "s").deliver("d2", "m2", "s");
    finding(&delivered.nack(nacked).deliver("d3", again, "s"), Property::P6).verdict
}

#[test]
fn a_nack_of_an_earlier_message_of_a_promised_scope_is_a_cause() {
    assert_eq!(other_nacked_in(OrderScope::Key, "k", "d1", "m2"), Verdict::Pass);
    assert_eq!(other_nacked_in(OrderScope::Key, "k", "d2", "m1"), Verdict::Violation);
    assert_eq!(other_nacked_in(OrderScope::Key, "l", "d1", "m2"), Verdict::Violation);
    assert_eq!(other_nacked_in(OrderScope::Queue, "l", "d1", "m2"), Verdict::Pass);
    assert_eq!(other_nacked_in(OrderScope::Publisher, "l", "d1", "m2"), Verdict::Pass);
}

#[test]
fn several_records_of_a_message_are_not_redeliveries() {
    let twice =
        sketch().open("s").publish("m1").deliver_at("d1", "m1", "s", 0).deliver_at("d2", "m1", "s", 1);
    says(&twice, Property::P6, Verdict::NotExercised);
}

#[test]
fn groups_and_dead_letters_are_apart() {
    let groups = once(sketch()).open_as("s2", |it| it.group = "g2".into()).deliver("d2", "m1", "s2");
    says(&groups, Property::P6, Verdict::NotExercised);
    let dead = once(sketch()).deliver_as("d2", "m1", "s", |it| it.dead_letter = Some(true));
    says(&dead, Property::P6, Verdict::NotExercised);
}

#[test]
fn without_positions_the_order_of_delivery_tells_which_message_was_earlier() {
    let scoped = || {
        promising(|promises| {
            promises.p6 = Some(Lease { lease_ms: None });
            promises.p7 = Some(Order { scope: OrderScope::Key });
        })
    };
    let two = |first: &str, second: &str| {
        scoped()
            .open("s")
            .keyed("m1", "k")
            .keyed("m2", "k")
            .deliver("d1", first, "s")
            .deliver("d2", second, "s")
    };
    // m2 was published later, by somebody else, and came first: the broker had it first.
    passes(&two("m2", "m1").nack("d1").deliver("d3", "m1", "s"), Property::P6, 1);
    // What was delivered later is no cause.
    let later = two("m1", "m2").nack("d2").deliver("d3", "m1", "s");
    assert_eq!(finding(&later, Property::P6).verdict, Verdict::Violation);
}
