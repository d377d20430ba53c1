use anybroker_conformance::history::{Outcome, Progress, Sketch};
use anybroker_conformance::properties::{Property, Verdict, check};

use super::{finding, passes, promising, says, violates};

fn sketch() -> Sketch {
    promising(|promises| promises.p17 = Some(Progress { within_ms: 100 }))
        .open("s")
        .fault("kill")
        .fault("restart")
}

fn sentinel(sketch: Sketch) -> Sketch {
    sketch.publish_as("m1", |it| it.sentinel = Some(true)).ok("m1")
}

#[test]
fn a_sentinel_in_time() {
    passes(&sentinel(sketch()).deliver("d", "m1", "s"), Property::P17, 1);
    passes(&sentinel(sketch()).wait(99).deliver("d", "m1", "s"), Property::P17, 1);
}

#[test]
fn a_sentinel_that_does_not_come_is_a_stall() {
    let stalled = sentinel(sketch()).wait(150).drained();
    let explanation = "the sentinel m1 did not reach group g in time after the last heal";
    violates(&stalled, Property::P17, &["m1"], &[5], explanation);
    let report = check(&stalled.read().unwrap());
    assert_eq!((report.verdict, report.exit_code(false)), (Verdict::Stalled, 1));
    let late = sentinel(sketch()).wait(100).deliver("d", "m1", "s");
    let explanation = "the sentinel m1 reached group g too late after the last heal";
    violates(&late, Property::P17, &["m1"], &[5, 7], explanation);
}

#[test]
fn the_time_counts_from_the_heal_if_that_is_later() {
    let early = sentinel(sketch()).wait(150).fault("heal").wait(99).deliver("d", "m1", "s");
    passes(&early, Property::P17, 1);
    let resumed = sentinel(sketch()).wait(150).fault("resume").wait(101).deliver("d", "m1", "s");
    assert_eq!(finding(&resumed, Property::P17).verdict, Verdict::Stalled);
}

#[test]
fn a_file_that_ends_earlier_is_inconclusive() {
    says(&sentinel(sketch()).wait(50).drained(), Property::P17, Verdict::Inconclusive);
}

#[test]
fn without_a_heal_or_a_confirmed_sentinel_it_is_not_exercised() {
    let unhealed =
        promising(|promises| promises.p17 = Some(Progress { within_ms: 100 })).open("s").fault("cut");
    says(&sentinel(unhealed).wait(150).drained(), Property::P17, Verdict::NotExercised);
    let unknown = sketch().publish_as("m1", |it| it.sentinel = Some(true)).published("m1", Outcome::Unknown);
    says(&unknown.wait(150).drained(), Property::P17, Verdict::NotExercised);
    says(&sketch().publish("m1").ok("m1").wait(150).drained(), Property::P17, Verdict::NotExercised);
}

#[test]
fn a_group_without_sessions_cannot_stall() {
    let closed = promising(|promises| promises.p17 = Some(Progress { within_ms: 100 })).open("s").close("s");
    says(&sentinel(closed.fault("heal")).wait(150).drained(), Property::P17, Verdict::NotExercised);
}

#[test]
fn a_sentinel_that_was_dead_lettered_unseen_has_not_stalled() {
    let dead = sentinel(sketch()).deliver_as("d", "m1", "s", |it| it.dead_letter = Some(true));
    says(&dead.wait(150).drained(), Property::P17, Verdict::NotExercised);
}
