use anybroker_conformance::history::{Mark, Outcome, RedeliveryMark, SettleVerdict, Sketch};
use anybroker_conformance::properties::{Property, Verdict};

use super::{passes, promising, says, violates};

fn sketch(mark: Mark) -> Sketch {
    promising(|promises| promises.p9 = Some(RedeliveryMark { mark })).open("s").publish("m1")
}

/// Deliveries of `m1`, nacked each, with this flag and attempt.
fn deliveries(mark: Mark, marks: &[(Option<bool>, Option<u64>)]) -> Sketch {
    marks.iter().enumerate().fold(sketch(mark), |sketch, (i, (redelivered, attempt))| {
        let d = format!("d{i}");
        let delivered = sketch.deliver_as(&d, "m1", "s", |it| {
            it.redelivered = *redelivered;
            it.attempt = *attempt;
        });
        delivered.nack(&d)
    })
}

#[test]
fn redeliveries_are_flagged() {
    passes(
        &deliveries(Mark::Flag, &[(None, None), (Some(true), None), (Some(true), Some(1))]),
        Property::P9,
        2,
    );
    says(&deliveries(Mark::Flag, &[(None, None)]), Property::P9, Verdict::NotExercised);
    let explanation = "m1 was delivered again without being marked";
    for cleared in [Some(false), None] {
        let sketch = deliveries(Mark::Flag, &[(None, None), (cleared, Some(2))]);
        violates(&sketch, Property::P9, &["m1"], &[4, 6], explanation);
    }
}

#[test]
fn redeliveries_are_counted() {
    passes(&deliveries(Mark::Count, &[(None, Some(1)), (None, Some(2)), (None, Some(5))]), Property::P9, 2);
    let stuck = deliveries(Mark::Count, &[(None, Some(1)), (Some(true), Some(1))]);
    violates(
        &stuck,
        Property::P9,
        &["m1"],
        &[4, 6],
        "m1 was delivered at least 2 times but marked as attempt 1",
    );
    let missing = deliveries(Mark::Count, &[(None, None), (Some(true), None)]);
    violates(
        &missing,
        Property::P9,
        &["m1"],
        &[4, 6],
        "m1 was delivered at least 2 times but marked as attempt 0",
    );
    let reset = deliveries(Mark::Count, &[(None, Some(4)), (None, Some(3))]);
    violates(&reset, Property::P9, &["m1"], &[4, 6], "m1 was delivered as attempt 3 after 4");
}

#[test]
fn released_deliveries_do_not_count() {
    let released = |mark| sketch(mark).deliver("d1", "m1", "s").settle("d1", SettleVerdict::Release);
    says(&released(Mark::Flag).deliver("d2", "m1", "s"), Property::P9, Verdict::NotExercised);
    let twice = released(Mark::Count).deliver_as("d2", "m1", "s", |it| it.attempt = Some(1)).nack("d2");
    passes(&twice.deliver_as("d3", "m1", "s", |it| it.attempt = Some(2)), Property::P9, 1);
}

#[test]
fn what_was_released_after_another_settlement_came_back_unknown_does_not_count_either() {
    let settled = |outcome| {
        let once = sketch(Mark::Count).deliver_as("d1", "m1", "s", |it| it.attempt = Some(1));
        let back = once.settle("d1", SettleVerdict::DeadLetter).settled("d1", outcome);
        back.settle("d1", SettleVerdict::Release).deliver_as("d2", "m1", "s", |it| it.attempt = Some(1))
    };
    says(&settled(Outcome::Unknown), Property::P9, Verdict::NotExercised);
    let explanation = "m1 was delivered at least 2 times but marked as attempt 1";
    violates(&settled(Outcome::Failed), Property::P9, &["m1"], &[4, 8], explanation);
}

#[test]
fn what_was_settled_in_a_transaction_counts_once_that_is_committed() {
    let settled = |outcome| {
        let once = sketch(Mark::Count).deliver_as("d1", "m1", "s", |it| it.attempt = Some(1)).begin("x");
        let inside = once.settle_as("d1", SettleVerdict::Ack, |it| it.transaction = Some("x".into()));
        let ended = inside.commit("x").transaction_end("x", outcome);
        ended.deliver_as("d2", "m1", "s", |it| it.attempt = Some(1))
    };
    says(&settled(Outcome::Failed), Property::P9, Verdict::NotExercised);
    let explanation = "m1 was delivered at least 2 times but marked as attempt 1";
    violates(&settled(Outcome::Ok), Property::P9, &["m1"], &[4, 9], explanation);
}

#[test]
fn records_groups_and_dead_letters_are_apart() {
    let records = sketch(Mark::Flag).deliver_at("d1", "m1", "s", 0).deliver_at("d2", "m1", "s", 1);
    says(&records, Property::P9, Verdict::NotExercised);
    let groups = sketch(Mark::Flag).deliver("d1", "m1", "s").open_as("s2", |it| it.group = "h".into());
    says(&groups.deliver("d2", "m1", "s2"), Property::P9, Verdict::NotExercised);
    let dead = sketch(Mark::Flag).deliver("d1", "m1", "s");
    let dead = dead.deliver_as("d2", "m1", "s", |it| it.dead_letter = Some(true));
    says(&dead, Property::P9, Verdict::NotExercised);
}
