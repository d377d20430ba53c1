use anybroker_conformance::history::{
    DeadLetterPromise, DeliveryLimit, Lease, Outcome, Position, SettleVerdict, Sketch,
};
use anybroker_conformance::properties::{Property, Verdict};

use super::{finding, passes, promising, says, violates};

fn sketch(dead_letter: DeadLetterPromise) -> Sketch {
    let sketch = promising(|promises| promises.p10 = Some(DeliveryLimit { limit: 2, dead_letter }));
    sketch.open("s").open_as("dead", |it| {
        it.topic = "dead".into();
        it.group = "readers".into();
    })
}

/// `m1` delivered so often, nacked each time.
fn nacked(dead_letter: DeadLetterPromise, times: usize) -> Sketch {
    (1..=times).fold(sketch(dead_letter).publish("m1").ok("m1"), |sketch, i| {
        let d = format!("d{i}");
        sketch.deliver(&d, "m1", "s").nack(&d).settled(&d, Outcome::Ok)
    })
}

fn dead_letter(sketch: Sketch, d: &str) -> Sketch {
    sketch.deliver_as(d, "m1", "dead", |it| it.dead_letter = Some(true))
}

fn all_drained(sketch: Sketch) -> Sketch {
    sketch.drained().drained_as("readers", "dead")
}

use DeadLetterPromise::{AtLeastOnce, AtMostOnce, None as Dropped};

#[test]
fn within_the_limit() {
    says(&all_drained(nacked(Dropped, 1)), Property::P10, Verdict::NotExercised);
    passes(&all_drained(nacked(Dropped, 2)), Property::P10, 1);
    passes(&all_drained(dead_letter(nacked(AtLeastOnce, 2), "x")), Property::P10, 1);
}

#[test]
fn beyond_the_limit() {
    let explanation = "m1 was delivered 3 times, more than 2";
    violates(&nacked(Dropped, 3), Property::P10, &["m1"], &[9, 12], explanation);
}

#[test]
fn released_deliveries_do_not_count() {
    let released = nacked(Dropped, 1).deliver("r", "m1", "s").settle("r", SettleVerdict::Release);
    passes(&released.deliver("d2", "m1", "s").nack("d2"), Property::P10, 1);
}

#[test]
fn a_message_given_up_is_missing_once_all_is_drained() {
    let explanation = "m1 was given up but never reached the dead letter topic";
    violates(&all_drained(nacked(AtLeastOnce, 2)), Property::P10, &["m1"], &[4, 11, 12], explanation);
    says(&nacked(AtLeastOnce, 2).drained(), Property::P10, Verdict::Inconclusive);
    passes(&all_drained(nacked(AtMostOnce, 2)), Property::P10, 1);
}

#[test]
fn the_attempt_counts_as_well() {
    let attempted = sketch(AtLeastOnce).publish("m1").deliver_as("d1", "m1", "s", |it| it.attempt = Some(2));
    let nacked = attempted.clone().nack("d1").settled("d1", Outcome::Ok);
    assert_eq!(finding(&all_drained(nacked), Property::P10).verdict, Verdict::Violation);
    let unknown = attempted.nack("d1").settled("d1", Outcome::Unknown);
    passes(&all_drained(unknown), Property::P10, 1);
}

#[test]
fn a_dead_letter_settlement_gives_up_at_once() {
    let asked =
        sketch(AtLeastOnce).publish("m1").deliver("d1", "m1", "s").settle("d1", SettleVerdict::DeadLetter);
    let confirmed = asked.clone().settled("d1", Outcome::Ok);
    assert_eq!(finding(&all_drained(confirmed), Property::P10).verdict, Verdict::Violation);
    passes(&all_drained(dead_letter(asked, "x")), Property::P10, 1);
}

#[test]
fn a_fresh_message_in_the_dead_letter_topic() {
    let fresh = dead_letter(sketch(AtLeastOnce).publish("m1"), "x");
    let explanation = "m1 was dead-lettered without having been delivered";
    violates(&fresh, Property::P10, &["m1"], &[4, 5], explanation);
}

#[test]
fn a_message_dead_lettered_early() {
    let early = dead_letter(nacked(AtLeastOnce, 1), "x");
    let explanation = "m1 was dead-lettered after 1 of 2 deliveries";
    violates(&early, Property::P10, &["m1"], &[4, 6, 7, 8, 9], explanation);
    passes(&dead_letter(nacked(AtLeastOnce, 1).fault("kill"), "x"), Property::P10, 1);
    passes(&dead_letter(nacked(AtLeastOnce, 1).close("s"), "x"), Property::P10, 1);
}

#[test]
fn an_acknowledged_message_in_the_dead_letter_topic() {
    let acked = nacked(AtLeastOnce, 1).deliver("d2", "m1", "s").ack("d2").settled("d2", Outcome::Ok);
    let explanation = "m1 was acknowledged and yet dead-lettered";
    violates(&dead_letter(acked, "x"), Property::P10, &["m1"], &[4, 9, 10, 11, 12], explanation);
}

#[test]
fn at_most_once_means_one_position() {
    let at = |sketch: Sketch, d: &str, offset| {
        sketch.deliver_as(d, "m1", "dead", |it| {
            it.dead_letter = Some(true);
            it.position = Some(Position { partition: 0, offset });
        })
    };
    passes(&at(at(nacked(AtMostOnce, 2), "x", 0), "y", 0), Property::P10, 1);
    let twice = |promise| at(at(nacked(promise, 2), "x", 0), "y", 1);
    violates(&twice(AtMostOnce), Property::P10, &["m1"], &[12, 13], "m1 was dead-lettered twice");
    passes(&twice(AtLeastOnce), Property::P10, 1);
}

#[test]
fn without_positions_a_dead_letter_comes_again_with_a_cause() {
    let once = dead_letter(nacked(AtMostOnce, 2), "x");
    passes(&dead_letter(once.clone().nack("x"), "y"), Property::P10, 1);
    violates(&dead_letter(once, "y"), Property::P10, &["m1"], &[12, 13], "m1 was dead-lettered twice");
}

#[test]
fn each_group_may_dead_letter_a_message_once() {
    let two = nacked(AtMostOnce, 2).open_as("s2", |it| it.group = "h".into());
    let two = two.deliver("e1", "m1", "s2").nack("e1").deliver("e2", "m1", "s2").nack("e2");
    passes(&dead_letter(dead_letter(two.clone(), "x"), "y"), Property::P10, 1);
    let thrice = dead_letter(dead_letter(dead_letter(two, "x"), "y"), "z");
    assert_eq!(finding(&thrice, Property::P10).verdict, Verdict::Violation);
}

#[test]
fn a_group_may_dead_letter_after_another() {
    let first = dead_letter(nacked(AtMostOnce, 2), "x");
    let other = first.open_as("s2", |it| it.group = "h".into()).deliver("e1", "m1", "s2");
    let other = other.settle("e1", SettleVerdict::DeadLetter);
    passes(&dead_letter(other, "y"), Property::P10, 1);
}

#[test]
fn attempts_that_nobody_saw_may_exhaust_a_message() {
    let died = |sketch: Sketch, s: &str| sketch.open_as(s, |it| it.group = "h".into()).close(s);
    let twice = died(died(sketch(AtLeastOnce).publish("m1"), "h1"), "h2");
    passes(&dead_letter(twice.clone(), "x"), Property::P10, 1);
    let acked = twice.deliver("d1", "m1", "s").ack("d1").settled("d1", Outcome::Ok);
    passes(&dead_letter(acked, "x"), Property::P10, 1);
    let once = died(sketch(AtLeastOnce).publish("m1"), "h1");
    assert_eq!(finding(&dead_letter(once, "x"), Property::P10).verdict, Verdict::Violation);
}

#[test]
fn an_attempt_in_the_middle_may_be_unseen_unless_the_broker_counts() {
    let died = sketch(AtLeastOnce).publish("m1").open("s1").close("s1");
    let nacked = |attempt| died.clone().deliver_as("d1", "m1", "s", |it| it.attempt = attempt).nack("d1");
    passes(&dead_letter(nacked(None), "x"), Property::P10, 1);
    passes(&dead_letter(nacked(Some(2)), "x"), Property::P10, 1);
    assert_eq!(finding(&dead_letter(nacked(Some(1)), "x"), Property::P10).verdict, Verdict::Violation);
}

#[test]
fn an_acknowledgement_after_the_lease_excuses_a_dead_letter_at_the_limit() {
    let mut sketch = nacked(AtLeastOnce, 1);
    sketch.header.promises.p6 = Some(Lease { lease_ms: Some(10) });
    let late = sketch.deliver("d2", "m1", "s").wait(20).ack("d2").settled("d2", Outcome::Ok);
    passes(&dead_letter(late, "x"), Property::P10, 1);
}
