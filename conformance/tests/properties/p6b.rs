use anybroker_conformance::history::{
    Close, CloseCause, Event, Lease, Outcome, SettleVerdict, Sketch, Start,
};
use anybroker_conformance::properties::{Property, Verdict};

use super::{passes, promising, says, violates};

fn once() -> Sketch {
    once_on(promising(|promises| promises.p6b = Some(Default::default())))
}

fn once_on(sketch: Sketch) -> Sketch {
    sketch.open("s").open_as("s2", |it| it.start = Start::Resume).publish("m1").deliver("d1", "m1", "s")
}

const AGAIN: &str = "m1 was acknowledged, and delivered again after that";

#[track_caller]
fn binds(sketch: Sketch, lines: &[u64]) {
    passes(&sketch, Property::P6b, 1);
    violates(&sketch.deliver("d9", "m1", "s2"), Property::P6b, &["m1"], lines, AGAIN);
}

#[track_caller]
fn does_not_bind(sketch: Sketch) {
    says(&sketch.deliver("d9", "m1", "s2"), Property::P6b, Verdict::NotExercised);
}

#[test]
fn a_confirmed_acknowledgement_binds() {
    binds(once().ack("d1").settled("d1", Outcome::Ok), &[5, 6, 7, 8]);
    binds(once().ack("d1").settled("d1", Outcome::Ok).fault("kill"), &[5, 6, 7, 9]);
}

#[test]
fn what_came_before_it_was_final_is_allowed() {
    let crossed = once().ack("d1").deliver("d2", "m1", "s2").settled("d1", Outcome::Ok);
    passes(&crossed, Property::P6b, 1);
}

#[test]
fn other_settlements_do_not_bind() {
    does_not_bind(once());
    does_not_bind(once().nack("d1").settled("d1", Outcome::Ok));
    does_not_bind(once().settle("d1", SettleVerdict::Release).settled("d1", Outcome::Ok));
    does_not_bind(once().ack("d1").settled("d1", Outcome::Failed));
    does_not_bind(once().ack("d1").settled("d1", Outcome::Unknown));
}

#[test]
fn a_recorded_acknowledgement_binds_with_a_clean_close() {
    binds(once().ack("d1").close("s"), &[5, 6, 7, 8]);
    binds(once().ack("d1").settled("d1", Outcome::Unknown).close("s"), &[5, 6, 8, 9]);
    does_not_bind(once().ack("d1").fault("cut").close("s"));
    let killed = Event::Close(Close { session: "s".into(), cause: CloseCause::Killed });
    does_not_bind(once().ack("d1").event(killed));
}

#[test]
fn a_stale_acknowledgement_does_not_bind() {
    does_not_bind(once().close("s").ack("d1").settled("d1", Outcome::Ok));
    let older = once().deliver("d2", "m1", "s2").ack("d1").settled("d1", Outcome::Ok);
    says(&older.deliver("d9", "m1", "s2"), Property::P6b, Verdict::NotExercised);
    let leased = || {
        promising(|promises| {
            promises.p6 = Some(Lease { lease_ms: Some(10) });
            promises.p6b = Some(Default::default());
        })
    };
    does_not_bind(once_on(leased()).wait(11).ack("d1").settled("d1", Outcome::Ok));
    binds(once_on(leased()).wait(9).ack("d1").settled("d1", Outcome::Ok), &[5, 6, 7, 8]);
}

#[test]
fn inside_a_transaction_it_binds_once_that_is_committed() {
    let inside =
        || once().begin("x").settle_as("d1", SettleVerdict::Ack, |it| it.transaction = Some("x".into()));
    binds(inside().commit("x").transaction_end("x", Outcome::Ok), &[5, 7, 9, 10]);
    does_not_bind(inside().settled("d1", Outcome::Ok).commit("x"));
    does_not_bind(inside().commit("x").transaction_end("x", Outcome::Failed));
    does_not_bind(inside().abort("x").transaction_end("x", Outcome::Ok));
}

#[test]
fn a_session_that_reads_from_the_earliest_since_then_may_see_it() {
    let bound = once().ack("d1").settled("d1", Outcome::Ok);
    passes(&bound.clone().open("s3").deliver("d2", "m1", "s3"), Property::P6b, 1);
    let resumed = bound.open_as("s3", |it| it.start = Start::Resume).deliver("d2", "m1", "s3");
    violates(&resumed, Property::P6b, &["m1"], &[5, 6, 7, 9], AGAIN);
}

#[test]
fn other_records_and_groups_are_apart() {
    let bound = promising(|promises| promises.p6b = Some(Default::default())).open("s").publish("m1");
    let bound = bound.open_as("s2", |it| it.group = "h".into()).deliver_at("d1", "m1", "s", 0).ack("d1");
    let bound = bound.settled("d1", Outcome::Ok);
    passes(&bound.clone().deliver_at("d2", "m1", "s", 1), Property::P6b, 1);
    passes(&bound.clone().deliver_at("d2", "m1", "s2", 0), Property::P6b, 1);
    passes(&bound.deliver_as("d2", "m1", "s", |it| it.dead_letter = Some(true)), Property::P6b, 1);
}
