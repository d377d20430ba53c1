use anybroker_conformance::history::{Outcome, SettleVerdict, Sketch};
use anybroker_conformance::properties::{Property, Verdict};

use super::{finding, passes, promising, says, violates};

fn sketch() -> Sketch {
    promising(|promises| promises.p15 = Some(Default::default())).open("s")
}

/// A transaction with `m1` and `m2`.
fn two() -> Sketch {
    let inside =
        |it: &mut anybroker_conformance::history::Publish<'static>| it.transaction = Some("x".into());
    sketch().begin("x").publish_as("m1", inside).publish_as("m2", inside)
}

fn both(sketch: Sketch) -> Sketch {
    sketch.deliver("d1", "m1", "s").deliver("d2", "m2", "s")
}

#[test]
fn all_or_nothing() {
    passes(&both(two().commit("x").transaction_end("x", Outcome::Ok)).drained(), Property::P15, 1);
    passes(&two().abort("x").transaction_end("x", Outcome::Ok).drained(), Property::P15, 1);
    passes(&two().commit("x").transaction_end("x", Outcome::Failed).drained(), Property::P15, 1);
    passes(&two().commit("x").drained(), Property::P15, 1);
    says(&sketch().publish("m1").ok("m1"), Property::P15, Verdict::NotExercised);
}

#[test]
fn a_record_before_its_commit() {
    let early =
        two().deliver("d1", "m1", "s").commit("x").transaction_end("x", Outcome::Ok).deliver("d2", "m2", "s");
    let explanation = "m1 of transaction x was delivered before its commit";
    violates(&early.drained(), Property::P15, &["m1"], &[4, 6, 7, 8], explanation);
    let explanation = "m1 of transaction x was delivered although it was not committed";
    violates(&two().deliver("d1", "m1", "s"), Property::P15, &["m1"], &[4, 6], explanation);
}

#[test]
fn a_record_of_what_was_not_committed() {
    let explanation = "m1 of transaction x was delivered although it was not committed";
    let aborted = two().abort("x").transaction_end("x", Outcome::Ok).deliver("d1", "m1", "s");
    violates(&aborted, Property::P15, &["m1"], &[4, 6, 7, 8], explanation);
    let failed = two().commit("x").transaction_end("x", Outcome::Failed).deliver("d1", "m1", "s");
    violates(&failed, Property::P15, &["m1"], &[4, 6, 7, 8], explanation);
    let given_up = two().commit("x").abort("x").transaction_end("x", Outcome::Ok).deliver("d1", "m1", "s");
    violates(&given_up, Property::P15, &["m1"], &[4, 6, 7, 8, 9], explanation);
}

#[test]
fn a_torn_transaction() {
    let explanation = "m2 of transaction x was delivered to nobody, although m1 was";
    let committed = two().commit("x").transaction_end("x", Outcome::Ok).deliver("d1", "m1", "s");
    violates(&committed.clone().drained(), Property::P15, &["m2", "m1"], &[5, 6, 7, 8, 9], explanation);
    says(&committed, Property::P15, Verdict::Inconclusive);
    let unknown = two().commit("x").deliver("d1", "m1", "s").drained();
    violates(&unknown, Property::P15, &["m2", "m1"], &[5, 6, 7, 8], explanation);
}

#[test]
fn a_committed_transaction_that_vanished() {
    let vanished = two().commit("x").transaction_end("x", Outcome::Ok).drained();
    let finding = finding(&vanished, Property::P15);
    assert_eq!(finding.violation_count(), 2);
    let explanation = "m1 of the committed transaction x was delivered to nobody";
    assert_eq!(finding.violations[0].explanation, explanation);
}

/// An input `i` that is acknowledged in a transaction with the output `o`, which group `outputs` reads.
fn with_input() -> Sketch {
    let outputs = |it: &mut anybroker_conformance::history::Open<'static>| {
        it.group = "outputs".into();
        it.topic = "u".into();
    };
    let sketch = sketch().open_as("s2", outputs).publish("i").deliver("d1", "i", "s").begin("x");
    let output = sketch.publish_as("o", |it| {
        it.topic = "u".into();
        it.transaction = Some("x".into());
    });
    output.settle_as("d1", SettleVerdict::Ack, |it| it.transaction = Some("x".into()))
}

fn drained(sketch: Sketch) -> Sketch {
    sketch.drained().drained_as("outputs", "u")
}

#[test]
fn an_input_comes_again_only_if_nothing_is_visible() {
    let committed = with_input().commit("x").transaction_end("x", Outcome::Ok).deliver("d2", "o", "s2");
    passes(&drained(committed.clone()), Property::P15, 1);
    let again = committed.clone().deliver("d3", "i", "s");
    let explanation = "i, settled in transaction x, came again although o is visible";
    violates(&drained(again), Property::P15, &["i", "o"], &[5, 8, 11, 12], explanation);
    passes(&drained(committed.open("s3").deliver("d3", "i", "s3")), Property::P15, 1);
}

#[test]
fn an_input_must_come_again_if_nothing_is_visible() {
    let aborted = with_input().abort("x").transaction_end("x", Outcome::Ok);
    passes(&drained(aborted.clone().deliver("d3", "i", "s")), Property::P15, 1);
    let explanation = "i, settled in transaction x, of which nothing is visible, never came again";
    violates(&drained(aborted.clone()), Property::P15, &["i"], &[5, 8, 10, 11], explanation);
    says(&aborted, Property::P15, Verdict::Inconclusive);
}

#[test]
fn an_unknown_end_is_judged_by_what_is_visible() {
    let unknown = with_input().commit("x").transaction_end("x", Outcome::Unknown);
    assert_eq!(finding(&drained(unknown.clone()), Property::P15).verdict, Verdict::Violation);
    says(&unknown.clone().drained(), Property::P15, Verdict::Inconclusive);
    passes(&drained(unknown.deliver("d3", "i", "s")), Property::P15, 1);
}
